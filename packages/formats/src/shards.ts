import { createHash } from "node:crypto";
import { mkdir, open, readFile, writeFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import {
  Field,
  FixedSizeBinary,
  Int32,
  List,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchReader,
  Schema,
  Struct,
  Uint32,
  Utf8,
  makeBuilder,
  makeData,
  type AsyncRecordBatchFileReader,
  type Data,
} from "apache-arrow";
import { z } from "zod";
import { FormatError } from "./errors.ts";

/** One document as tokens. */
export interface TokenDocument {
  /** 128 bits in hexadecimal. */
  readonly docId: string;
  readonly source: string;
  readonly language: string;
  readonly tokens: Uint32Array;
}

const shardEntry = z.strictObject({
  path: z.string(),
  sha256: z.string(),
  bytes: z.int(),
  documents: z.int(),
  tokens: z.int(),
});

const manifestSchema = z.strictObject({
  version: z.literal(1),
  /** Merkle root over the shards' digests. */
  root: z.string(),
  vocabSize: z.int(),
  tokenizerSha256: z.string(),
  documents: z.int(),
  tokens: z.int(),
  shards: z.array(shardEntry),
});

export type ShardManifest = z.infer<typeof manifestSchema>;

export interface WriteShardsOptions {
  readonly vocabSize: number;
  readonly tokenizerSha256: string;
  /** A shard is closed once it holds so many tokens. */
  readonly tokensPerShard?: number;
  readonly documentsPerBatch?: number;
}

export const SHARD_MANIFEST = "manifest.json";

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
 */
export async function writeShards(
  directory: string,
  documents: Iterable<TokenDocument>,
  options: WriteShardsOptions,
): Promise<ShardManifest> {
  const { tokensPerShard = 1 << 24, documentsPerBatch = 256 } = options;
  await mkdir(directory, { recursive: true });
  const shards: ShardManifest["shards"] = [];
  let pending: TokenDocument[] = [];
  let pendingTokens = 0;
  const flush = async () => {
    if (pending.length === 0) return;
    shards.push(await writeShard(directory, shards.length, pending, documentsPerBatch));
    pending = [];
    pendingTokens = 0;
  };
  for (const document of documents) {
    pending.push(document);
    pendingTokens += document.tokens.length;
    if (pendingTokens >= tokensPerShard) await flush();
  }
  await flush();
  const manifest: ShardManifest = {
    version: 1,
    root: merkleRoot(shards.map((shard) => shard.sha256)),
    vocabSize: options.vocabSize,
    tokenizerSha256: options.tokenizerSha256,
    documents: shards.reduce((sum, shard) => sum + shard.documents, 0),
    tokens: shards.reduce((sum, shard) => sum + shard.tokens, 0),
    shards,
  };
  await writeFile(join(directory, SHARD_MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

async function writeShard(
  directory: string,
  index: number,
  documents: readonly TokenDocument[],
  documentsPerBatch: number,
): Promise<ShardManifest["shards"][number]> {
  const path = `shard-${String(index).padStart(5, "0")}.arrow`;
  const writer = new RecordBatchFileWriter();
  for (let start = 0; start < documents.length; start += documentsPerBatch) {
    writer.write(recordBatchOf(documents.slice(start, start + documentsPerBatch)));
  }
  writer.finish();
  const content = await writer.toUint8Array();
  await writeFile(join(directory, path), content);
  return {
    path,
    sha256: createHash("sha256").update(content).digest("hex"),
    bytes: content.length,
    documents: documents.length,
    tokens: documents.reduce((sum, { tokens }) => sum + tokens.length, 0),
  };
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

/** sha256 tree over hexadecimal leaves; an odd node moves up as it is. */
export function merkleRoot(leaves: readonly string[]): string {
  if (leaves.length === 0) return createHash("sha256").digest("hex");
  let level = [...leaves];
  while (level.length > 1) {
    const next: string[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const right = level[i + 1];
      next.push(right === undefined ? level[i]! : createHash("sha256").update(level[i]!).update(right).digest("hex"));
    }
    level = next;
  }
  return level[0]!;
}

/**
 * Opens a set of shards. Files are asked for by their manifest path, so they may lie anywhere.
 *
 * @param fileOf absolute path of a file of the set
 * @param verify also re-hash every shard (sizes are always checked)
 * @throws FormatError `ShardCorrupt` naming the file
 */
export async function openShards(fileOf: (path: string) => Promise<string>, options: { readonly verify?: boolean } = {}): Promise<ShardSet> {
  const manifestPath = await fileOf(SHARD_MANIFEST);
  const parsed = manifestSchema.safeParse(JSON.parse(await readFile(manifestPath, "utf8")));
  if (!parsed.success) throw new FormatError("ShardCorrupt", manifestPath, z.prettifyError(parsed.error), REBUILD);
  const manifest = parsed.data;
  const root = merkleRoot(manifest.shards.map((shard) => shard.sha256));
  if (root !== manifest.root) throw new FormatError("ShardCorrupt", manifestPath, `expected Merkle root ${manifest.root}, found ${root}`, REBUILD);
  const files: FileHandle[] = [];
  try {
    for (const shard of manifest.shards) {
      const path = await fileOf(shard.path);
      const handle = await open(path, "r");
      files.push(handle);
      await checkShard(handle, path, shard, options.verify === true);
    }
    return await ShardSet.create(manifest, files);
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}

const REBUILD = "Delete it and run the tokenize stage again";

async function checkShard(handle: FileHandle, path: string, shard: ShardManifest["shards"][number], verify: boolean): Promise<void> {
  const { size } = await handle.stat();
  if (size !== shard.bytes) throw new FormatError("ShardCorrupt", path, `expected ${shard.bytes} bytes, found ${size}`, REBUILD);
  if (!verify) return;
  const hash = createHash("sha256");
  for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) hash.update(chunk as Buffer);
  const found = hash.digest("hex");
  if (found !== shard.sha256) throw new FormatError("ShardCorrupt", path, `expected sha256 ${shard.sha256}, found ${found}`, REBUILD);
}

/** One record batch of one shard; `index` counts within the shard. */
interface Batch {
  readonly reader: AsyncRecordBatchFileReader;
  readonly index: number;
  readonly firstToken: number;
}

/** The documents of a shard set as one stream of tokens, read a record batch at a time. */
export class ShardSet {
  readonly manifest: ShardManifest;
  /** Token offset at which each document begins, and the total at the end. */
  readonly documentOffsets: Float64Array;
  readonly docIds: readonly string[];
  readonly sources: readonly string[];
  readonly #files: readonly FileHandle[];
  readonly #batches: readonly Batch[];
  /** Least recently used first. */
  readonly #cache = new Map<Batch, Uint32Array>();
  #cachedTokens = 0;
  #reading: Promise<unknown> = Promise.resolve();

  private constructor(manifest: ShardManifest, files: readonly FileHandle[], batches: readonly Batch[], index: DocumentIndex) {
    this.manifest = manifest;
    this.#files = files;
    this.#batches = batches;
    this.documentOffsets = index.offsets;
    this.docIds = index.docIds;
    this.sources = index.sources;
  }

  static async create(manifest: ShardManifest, files: readonly FileHandle[]): Promise<ShardSet> {
    const batches: Batch[] = [];
    const index: DocumentIndex = { offsets: new Float64Array(manifest.documents + 1), docIds: [], sources: [] };
    for (const file of files) {
      const reader = (await RecordBatchReader.from(file)) as AsyncRecordBatchFileReader;
      await reader.open({ autoDestroy: false });
      for (let i = 0; i < reader.numRecordBatches; i++) {
        batches.push({ reader, index: i, firstToken: index.offsets[index.docIds.length]! });
        indexBatch(index, (await reader.readRecordBatch(i))!);
      }
    }
    return new ShardSet(manifest, files, batches, index);
  }

  get tokenCount(): number {
    return this.manifest.tokens;
  }

  get documentCount(): number {
    return this.manifest.documents;
  }

  /** Tokens [start, start + length) of the stream. */
  async readTokens(start: number, length: number): Promise<Uint32Array> {
    const tokens = new Uint32Array(length);
    let copied = 0;
    while (copied < length) {
      const position = start + copied;
      const batch = this.#batches[lastAtOrBefore(this.#batches.length, (i) => this.#batches[i]!.firstToken, position)]!;
      const values = await this.#tokensOf(batch);
      const from = position - batch.firstToken;
      const part = values.subarray(from, Math.min(values.length, from + length - copied));
      if (part.length === 0) throw new RangeError(`tokens: expected a range within ${this.tokenCount}, found [${start}, ${start + length})`);
      tokens.set(part, copied);
      copied += part.length;
    }
    return tokens;
  }

  /** Indices of the documents that tokens [start, start + length) touch. */
  documentsIn(start: number, length: number): { first: number; last: number } {
    const find = (token: number) => lastAtOrBefore(this.documentCount, (i) => this.documentOffsets[i]!, token);
    return { first: find(start), last: find(start + length - 1) };
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  /** One read at a time: Arrow's reader keeps its position in the file. */
  #tokensOf(batch: Batch): Promise<Uint32Array> {
    const tokens = this.#reading.then(() => this.#load(batch));
    this.#reading = tokens.catch(() => {});
    return tokens;
  }

  async #load(batch: Batch): Promise<Uint32Array> {
    const tokens = this.#cache.get(batch) ?? tokenValues((await batch.reader.readRecordBatch(batch.index))!);
    if (!this.#cache.delete(batch)) this.#cachedTokens += tokens.length;
    this.#cache.set(batch, tokens);
    for (const [oldest, { length }] of this.#cache) {
      if (this.#cachedTokens <= CACHED_TOKENS || oldest === batch) break;
      this.#cache.delete(oldest);
      this.#cachedTokens -= length;
    }
    return tokens;
  }
}

/** Random access rereads record batches; 64 MiB of them stay in memory. */
const CACHED_TOKENS = 1 << 24;

interface DocumentIndex {
  readonly offsets: Float64Array;
  readonly docIds: string[];
  readonly sources: string[];
}

function tokenValues(batch: RecordBatch): Uint32Array {
  const { values, length } = (batch.data.children[0] as Data<List<Uint32>>).children[0]!;
  return (values as Uint32Array).subarray(0, length); // the buffer itself is padded
}

function indexBatch({ offsets, docIds, sources }: DocumentIndex, batch: RecordBatch): void {
  const [, ids, sourceColumn, , counts] = batch.schema.names.map((_, i) => batch.getChildAt(i)!);
  for (let row = 0; row < batch.numRows; row++) {
    offsets[docIds.length + 1] = offsets[docIds.length]! + (counts!.get(row) as number);
    docIds.push(Buffer.from(ids!.get(row) as Uint8Array).toString("hex"));
    sources.push(sourceColumn!.get(row) as string);
  }
}

/** Largest index in [0, count) whose start is at most `value`, by bisection. */
function lastAtOrBefore(count: number, startOf: (index: number) => number, value: number): number {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (startOf(middle) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
