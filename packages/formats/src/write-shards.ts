import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AsyncByteQueue, Field, FixedSizeBinary, Int32, List, RecordBatch, RecordBatchFileWriter, Schema, Struct, Uint32, Utf8, makeBuilder, makeData, type Data } from "apache-arrow";
import { SHARD_MANIFEST, merkleRoot, sumOverShards, type ShardEntry, type ShardManifest } from "./shard-manifest.ts";

/** One document as tokens. */
export interface TokenDocument {
  /** 128 bits in hexadecimal. */
  readonly docId: string;
  readonly source: string;
  readonly language: string;
  readonly tokens: Uint32Array;
}

export interface WriteShardsOptions {
  readonly vocabSize: number;
  readonly tokenizerSha256: string;
  /** A shard is closed once it holds so many tokens. */
  readonly tokensPerShard?: number;
  readonly documentsPerBatch?: number;
}

const schema = new Schema([
  new Field("tokens", new List(new Field("item", new Uint32(), false)), false),
  new Field("doc_id", new FixedSizeBinary(16), false),
  new Field("source", new Utf8(), false),
  new Field("language", new Utf8(), false),
  new Field("n_tokens", new Int32(), false),
]);

/**
 * Writes documents, in the order given, as uncompressed Arrow IPC files and a manifest.
 * Equal documents and options give equal bytes.
 *
 * @throws RangeError when a document's id is not 128 bits in hexadecimal, or a token's is beyond the vocabulary
 */
export async function writeShards(
  directory: string,
  documents: Iterable<TokenDocument> | AsyncIterable<TokenDocument>,
  options: WriteShardsOptions,
): Promise<ShardManifest> {
  const { tokensPerShard = 1 << 24, documentsPerBatch = 256 } = options;
  await mkdir(directory, { recursive: true });
  const shards: ShardEntry[] = [];
  let shard: OpenShard | undefined;
  try {
    for await (const document of documents) {
      if (!/^[0-9a-f]{32}$/.test(document.docId)) throw new RangeError(`docId: expected 32 hexadecimal digits, found ${document.docId}`);
      const unknown = document.tokens.find((id) => id >= options.vocabSize);
      if (unknown !== undefined) throw new RangeError(`document ${document.docId}: expected ids below ${options.vocabSize}, found ${unknown}`);
      shard ??= new OpenShard(directory, shards.length, documentsPerBatch);
      if (shard.append(document) < tokensPerShard) continue;
      shards.push(shard.finish());
      shard = undefined;
    }
    if (shard !== undefined) shards.push(shard.finish());
  } catch (error) {
    shard?.abandon();
    throw error;
  }
  const manifest: ShardManifest = {
    version: 1,
    root: merkleRoot(shards.map((shard) => shard.sha256)),
    vocabSize: options.vocabSize,
    tokenizerSha256: options.tokenizerSha256,
    documents: sumOverShards(shards, "documents"),
    tokens: sumOverShards(shards, "tokens"),
    shards,
  };
  await writeFile(join(directory, SHARD_MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

/** A shard that is being written; one record batch of its documents is in memory. */
class OpenShard {
  readonly #path: string;
  readonly #documentsPerBatch: number;
  readonly #file: ByteFile;
  readonly #writer = new RecordBatchFileWriter();
  #batch: TokenDocument[] = [];
  #documents = 0;
  #tokens = 0;

  constructor(directory: string, index: number, documentsPerBatch: number) {
    this.#path = `shard-${String(index).padStart(5, "0")}.arrow`;
    this.#documentsPerBatch = documentsPerBatch;
    this.#file = new ByteFile(join(directory, this.#path));
    this.#writer.reset(this.#file);
  }

  /** @returns tokens so far */
  append(document: TokenDocument): number {
    this.#batch.push(document);
    if (this.#batch.length === this.#documentsPerBatch) this.#flush();
    this.#documents++;
    return (this.#tokens += document.tokens.length);
  }

  finish(): ShardEntry {
    if (this.#batch.length > 0) this.#flush();
    this.#writer.finish();
    const { sha256, bytes } = this.#file.end();
    return { path: this.#path, sha256, bytes, documents: this.#documents, tokens: this.#tokens };
  }

  abandon(): void {
    this.#file.end();
  }

  #flush(): void {
    this.#writer.write(recordBatchOf(this.#batch));
    this.#batch = [];
  }
}

/** A queue of Arrow's writer that keeps nothing: all bytes go to a file, and into its digest. */
class ByteFile extends AsyncByteQueue {
  readonly #file: number;
  readonly #hash = createHash("sha256");
  #bytes = 0;

  constructor(path: string) {
    super();
    this.#file = openSync(path, "w");
  }

  override write(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#file, bytes, done);
    this.#bytes += bytes.length;
  }

  end(): { sha256: string; bytes: number } {
    closeSync(this.#file);
    return { sha256: this.#hash.digest("hex"), bytes: this.#bytes };
  }
}

function recordBatchOf(documents: readonly TokenDocument[]): RecordBatch {
  const count = documents.length;
  const offsets = new Int32Array(count + 1);
  documents.forEach(({ tokens }, i) => (offsets[i + 1] = offsets[i]! + tokens.length));
  const values = new Uint32Array(offsets[count]!);
  const ids = new Uint8Array(count * 16);
  documents.forEach(({ tokens, docId }, i) => {
    values.set(tokens, offsets[i]!);
    ids.set(Buffer.from(docId, "hex"), i * 16);
  });
  const [tokensField, idField, , , countField] = schema.fields;
  const tokens = makeData({
    type: tokensField!.type as List<Uint32>,
    length: count,
    nullCount: 0,
    valueOffsets: offsets,
    child: makeData({ type: new Uint32(), length: values.length, nullCount: 0, data: values }),
  });
  const columns: Data[] = [
    tokens,
    makeData({ type: idField!.type as FixedSizeBinary, length: count, nullCount: 0, data: ids }),
    textColumn(documents.map(({ source }) => source)),
    textColumn(documents.map(({ language }) => language)),
    makeData({ type: countField!.type as Int32, length: count, nullCount: 0, data: Int32Array.from(documents, (d) => d.tokens.length) }),
  ];
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length: count, nullCount: 0, children: columns }));
}

function textColumn(values: readonly string[]): Data<Utf8> {
  const builder = makeBuilder({ type: new Utf8() });
  for (const value of values) builder.append(value);
  return builder.finish().flush();
}
