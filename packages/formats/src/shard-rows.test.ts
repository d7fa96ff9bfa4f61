import { mkdtemp, readFile, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkShards } from "./check-shards.ts";
import { SHARD_MANIFEST } from "./shard-manifest.ts";
import { readShardRows } from "./shard-rows.ts";
import { describeShards } from "./shard-statistics.ts";
import { writeShards, type TokenDocument } from "./write-shards.ts";

let directory: string;
beforeEach(async () => void (directory = await mkdtemp(join(tmpdir(), "shards-"))));
afterEach(() => rm(directory, { recursive: true }));

const fileOf = async (path: string) => join(directory, path);
const document = (n: number, length: number, source = "a", language = "python"): TokenDocument => ({
  docId: n.toString(16).padStart(32, "0"),
  source,
  language,
  tokens: Uint32Array.from({ length }, (_, i) => n * 100 + i),
});
const DOCUMENTS = [document(1, 3), document(2, 0, "b"), document(3, 5, "b", "rust"), document(1, 3), document(4, 9, "a", "rust")];
/** Four shards: of the first document, the next two, the fourth, the last. */
const write = () => writeShards(directory, DOCUMENTS, { vocabSize: 512, tokenizerSha256: "t".repeat(64), tokensPerShard: 3, documentsPerBatch: 2 });

test("rows are the documents that were written, also from a stream", async () => {
  async function* stream() {
    yield* DOCUMENTS;
  }
  const { shards, root } = await write();
  const rows = (await Promise.all(shards.map(({ path }) => Array.fromAsync(readShardRows(join(directory, path)))))).flat();
  expect(rows).toEqual(DOCUMENTS);
  const streamed = await writeShards(directory, stream(), { vocabSize: 512, tokenizerSha256: "t".repeat(64), tokensPerShard: 3, documentsPerBatch: 2 });
  expect(streamed.root).toBe(root);
});

test("statistics count documents, different ones and tokens, by source and language", async () => {
  const manifest = await write();
  expect(await describeShards(fileOf)).toEqual({
    shards: manifest.shards.length,
    bytes: manifest.shards.reduce((sum, { bytes }) => sum + bytes, 0),
    vocabSize: 512,
    root: manifest.root,
    tokenizerSha256: "t".repeat(64),
    documents: 5,
    distinct: 4,
    tokens: 20,
    bySource: { a: { documents: 3, distinct: 2, tokens: 15 }, b: { documents: 2, distinct: 2, tokens: 5 } },
    byLanguage: { python: { documents: 3, distinct: 2, tokens: 6 }, rust: { documents: 2, distinct: 2, tokens: 14 } },
    lengths: [0, 3, 3, 5, 9],
  });
  await writeShards(directory, [], { vocabSize: 512, tokenizerSha256: "t" });
  expect(await describeShards(fileOf)).toMatchObject({ documents: 0, lengths: [0, 0, 0, 0, 0], bySource: {} });
});

describe("a check", () => {
  test("of sound shards finds nothing", async () => {
    const { root, shards } = await write();
    expect(await checkShards(fileOf)).toEqual({ shards: shards.length, documents: 5, tokens: 20, root, damaged: [] });
  });

  test("names every damaged file and goes on", async () => {
    const { shards } = await write();
    expect(shards.length).toBe(4);
    const [first, second, third] = shards.map(({ path }) => join(directory, path)) as [string, string, string];
    const bytes = await readFile(first);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(first, bytes);
    await truncate(second, 100);
    await unlink(third);
    expect((await checkShards(fileOf)).damaged).toEqual([
      { file: "shard-00000.arrow", problem: expect.stringMatching(/^expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}$/) },
      { file: "shard-00001.arrow", problem: `expected ${shards[1]!.bytes} bytes, found 100` },
      { file: "shard-00002.arrow", problem: expect.stringMatching(/^ENOENT/) },
    ]);
  });

  test("counts documents and tokens itself", async () => {
    const manifest = await write();
    const shards = manifest.shards.map((shard, i) => (i === 0 ? { ...shard, tokens: shard.tokens + 1 } : shard));
    await writeFile(join(directory, SHARD_MANIFEST), JSON.stringify({ ...manifest, tokens: manifest.tokens + 1, shards }));
    const { documents, tokens } = manifest.shards[0]!;
    expect((await checkShards(fileOf)).damaged).toEqual([{ file: "shard-00000.arrow", problem: `expected ${documents} documents of ${tokens + 1} tokens, found ${documents} of ${tokens}` }]);
  });

  test("of a manifest that cannot be read is a damaged manifest", async () => {
    await write();
    await writeFile(join(directory, SHARD_MANIFEST), "{");
    expect(await checkShards(fileOf)).toMatchObject({ root: null, damaged: [{ file: "manifest.json", problem: expect.stringMatching(/^expected JSON/) }] });
    await unlink(join(directory, SHARD_MANIFEST));
    expect(await checkShards(fileOf)).toMatchObject({ root: null, damaged: [{ file: "manifest.json", problem: expect.stringMatching(/^ENOENT/) }] });
  });
});

test("what is no shard is ShardCorrupt when it is read", async () => {
  await writeFile(join(directory, "x"), "no Arrow file");
  await expect(Array.fromAsync(readShardRows(join(directory, "x")))).rejects.toMatchObject({ code: "ShardCorrupt" });
});
