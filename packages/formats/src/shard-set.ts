import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { open, readFile, type FileHandle } from "node:fs/promises";
import { RecordBatchReader, type AsyncRecordBatchFileReader, type Data, type List, type RecordBatch, type Uint32 } from "apache-arrow";
import { FormatError } from "./errors.ts";
import { REBUILD_SHARDS, SHARD_MANIFEST, parseShardManifest, type ShardEntry, type ShardManifest } from "./shard-manifest.ts";

/**
 * Opens a set of shards. Files are asked for by their manifest path, so they may lie anywhere.
 *
 * @param fileOf absolute path of a file of the set
 * @throws FormatError `ShardCorrupt` naming the file
 */
export async function openShards(fileOf: (path: string) => Promise<string>, options: OpenShardsOptions = {}): Promise<ShardSet> {
  const manifestPath = await fileOf(SHARD_MANIFEST);
  const manifest = parseShardManifest(await readFile(manifestPath, "utf8"), manifestPath);
  const files: ShardFile[] = [];
  try {
    for (const shard of manifest.shards) {
      const path = await fileOf(shard.path);
      const handle = await open(path, "r");
      files.push({ handle, path, shard, stamp: await stampOf(handle) });
      await checkShard(handle, path, shard, options.verify === true);
    }
    return await ShardSet.create(manifest, files);
  } catch (error) {
    await Promise.all(files.map(({ handle }) => handle.close()));
    throw error;
  }
}

export interface OpenShardsOptions {
  /** Also re-hash every shard; sizes and counts are always checked. */
  readonly verify?: boolean;
}

interface ShardFile {
  readonly handle: FileHandle;
  readonly path: string;
  readonly shard: ShardEntry;
  /** As it was when the file was last known to hold what it should. */
  stamp: string;
}

/** Changes whenever the file is written to (or linked, or its mode changed). */
async function stampOf(handle: FileHandle): Promise<string> {
  const { size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
  return [size, mtimeNs, ctimeNs].join();
}

/** Checks the size, and the digest too when `verify` is set. @throws FormatError `ShardCorrupt` */
export async function checkShard(handle: FileHandle, path: string, shard: ShardEntry, verify: boolean): Promise<void> {
  const { size } = await handle.stat();
  if (size !== shard.bytes) throw new FormatError("ShardCorrupt", path, `expected ${shard.bytes} bytes, found ${size}`, REBUILD_SHARDS);
  if (!verify) return;
  const hash = createHash("sha256");
  for await (const chunk of handle.createReadStream({ autoClose: false, start: 0 })) hash.update(chunk as Buffer);
  const found = hash.digest("hex");
  if (found !== shard.sha256) throw new FormatError("ShardCorrupt", path, `expected sha256 ${shard.sha256}, found ${found}`, REBUILD_SHARDS);
}

/** The tokens of one record batch of one shard. */
interface Batch {
  readonly path: string;
  readonly file: number;
  /** Byte of the file at which the tokens begin, 4 bytes each. */
  readonly position: number;
  readonly firstToken: number;
  readonly tokens: number;
}

/** The documents of a shard set as one stream of tokens, of which only the ids of documents are in memory. */
export class ShardSet {
  readonly manifest: ShardManifest;
  /** Token offset at which each document begins, and the total at the end. */
  readonly documentOffsets: Float64Array;
  readonly docIds: readonly string[];
  readonly sources: readonly string[];
  readonly #files: readonly ShardFile[];
  readonly #batches: readonly Batch[];

  private constructor(manifest: ShardManifest, files: readonly ShardFile[], batches: readonly Batch[], index: DocumentIndex) {
    this.manifest = manifest;
    this.#files = files;
    this.#batches = batches;
    this.documentOffsets = Float64Array.from(index.offsets);
    this.docIds = index.docIds;
    this.sources = index.sources;
  }

  static async create(manifest: ShardManifest, files: readonly ShardFile[]): Promise<ShardSet> {
    const batches: Batch[] = [];
    const index: DocumentIndex = { offsets: [0], docIds: [], sources: [] };
    for (const { handle, path, shard } of files) {
      const before = index.docIds.length;
      batches.push(...(await indexShard(handle, path, index).catch(notTokens(path))));
      const documents = index.docIds.length - before;
      const tokens = index.offsets.at(-1)! - index.offsets[before]!;
      if (documents === shard.documents && tokens === shard.tokens) continue;
      const problem = `expected ${shard.documents} documents of ${shard.tokens} tokens, found ${documents} of ${tokens}`;
      throw new FormatError("ShardCorrupt", path, problem, REBUILD_SHARDS);
    }
    return new ShardSet(manifest, files, batches, index);
  }

  get tokenCount(): number {
    return this.manifest.tokens;
  }

  get documentCount(): number {
    return this.manifest.documents;
  }

  /**
   * Tokens [start, start + length) of the stream, and no others, are read: canvases are drawn from all over a data set, so that
   * a whole record batch for each would read hundreds of times as much. The thread waits; the system keeps what is read often.
   *
   * @param room what to fill and return, in place of a new array
   * @throws RangeError when they are not all there
   * @throws FormatError `ShardCorrupt` when a file is shorter than it was when it was opened, or holds an id beyond the vocabulary
   */
  readTokens(start: number, length: number, room?: Uint32Array): Uint32Array {
    this.#checkRange(start, length);
    const into = room ?? new Uint32Array(length);
    if (into.length !== length) throw new RangeError(`room: expected that of ${length} tokens, found ${into.length}`);
    for (let done = 0; done < length; ) {
      const position = start + done;
      const batch = this.#batches[lastAtOrBefore(this.#batches.length, (i) => this.#batches[i]!.firstToken, position)]!;
      const from = position - batch.firstToken;
      const count = Math.min(batch.tokens - from, length - done);
      readValues(batch, from, into, done, count);
      for (let i = done; i < done + count; i++) if (into[i]! >= this.manifest.vocabSize) throw this.#unknownToken(batch.path, start + i, into[i]!);
      done += count;
    }
    return into;
  }

  #unknownToken(path: string, token: number, found: number): FormatError {
    const { first: document } = this.documentsIn(token, 1);
    const place = `token ${token - this.documentOffsets[document]!} of document ${this.docIds[document]!}`;
    return new FormatError("ShardCorrupt", path, `expected ids below ${this.manifest.vocabSize}, found ${found} at ${place}`, REBUILD_SHARDS);
  }

  /**
   * Re-hashes the files that were touched since they were opened or last rechecked. Where none was, that is a look at each.
   *
   * @throws FormatError `ShardCorrupt` when one no longer holds what the manifest says
   */
  async recheck(): Promise<void> {
    for (const file of this.#files) {
      const stamp = await stampOf(file.handle);
      if (stamp === file.stamp) continue;
      await checkShard(file.handle, file.path, file.shard, true);
      file.stamp = stamp;
    }
  }

  /**
   * Indices of the documents that tokens [start, start + length) touch, at least one token.
   *
   * @throws RangeError when they are not all there
   */
  documentsIn(start: number, length: number): { first: number; last: number } {
    this.#checkRange(start, length);
    if (length === 0) throw new RangeError("tokens: expected at least one, found none");
    const find = (token: number) => lastAtOrBefore(this.documentCount, (i) => this.documentOffsets[i]!, token);
    return { first: find(start), last: find(start + length - 1) };
  }

  #checkRange(start: number, length: number): void {
    if (start >= 0 && length >= 0 && start + length <= this.tokenCount) return;
    throw new RangeError(`tokens: expected a range within [0, ${this.tokenCount}), found [${start}, ${start + length})`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map(({ handle }) => handle.close()));
  }
}

interface DocumentIndex {
  /** As `ShardSet.documentOffsets`, up to the documents read so far. */
  readonly offsets: number[];
  readonly docIds: string[];
  readonly sources: string[];
}

/** Adds a shard's documents to the index; returns its record batches. */
async function indexShard(handle: FileHandle, path: string, index: DocumentIndex): Promise<Batch[]> {
  const reader = (await RecordBatchReader.from(handle)) as AsyncRecordBatchFileReader;
  await reader.open({ autoDestroy: false });
  const batches: Batch[] = [];
  for (let i = 0; i < reader.numRecordBatches; i++) {
    const firstToken = index.offsets.at(-1)!;
    const batch = (await reader.readRecordBatch(i))!;
    indexBatch(index, batch);
    const values = tokenValues(batch);
    const [counted, tokens] = [index.offsets.at(-1)! - firstToken, values.length];
    if (counted !== tokens) throw new RangeError(`n_tokens that add up to ${counted} over ${tokens} tokens`);
    const { offset, metaDataLength } = reader.footer!.getRecordBatch(i)!;
    // The reader holds the body of each record batch, which follows its metadata, in a buffer of its own.
    batches.push({ path, file: handle.fd, position: offset + metaDataLength + values.byteOffset, firstToken, tokens });
  }
  return batches;
}

/** Copies `count` tokens of a record batch, from its `from`-th on, to `into[at]` and behind. */
function readValues({ path, file, position }: Batch, from: number, into: Uint32Array, at: number, count: number): void {
  const byte = position + 4 * from;
  const found = readSync(file, into, 4 * at, 4 * count, byte);
  if (found === 4 * count) return;
  throw new FormatError("ShardCorrupt", path, `expected ${4 * count} bytes of tokens from byte ${byte} on, found ${found}`, REBUILD_SHARDS);
}

/** Turns what Arrow makes of another file into the error for it. */
export function notTokens(path: string): (error: unknown) => never {
  return (error) => {
    throw new FormatError("ShardCorrupt", path, `expected an Arrow file of token documents, found ${String(error)}`, REBUILD_SHARDS);
  };
}

/** Tokens of all documents of a record batch, one after the other. */
export function tokenValues(batch: RecordBatch): Uint32Array {
  const { values, length } = (batch.data.children[0] as Data<List<Uint32>>).children[0]!;
  return (values as Uint32Array).subarray(0, length); // the buffer itself is padded
}

function indexBatch({ offsets, docIds, sources }: DocumentIndex, batch: RecordBatch): void {
  const [, ids, sourceColumn, , counts] = batch.schema.names.map((_, i) => batch.getChildAt(i)!);
  for (let row = 0; row < batch.numRows; row++) {
    offsets.push(offsets.at(-1)! + (counts!.get(row) as number));
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
