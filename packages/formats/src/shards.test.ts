import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { docIdOf } from "./documents.ts";
import { merkleRoot, openShards, SHARD_MANIFEST, writeShards, type TokenDocument } from "./shards.ts";

let directory: string;
const fileOf = async (path: string) => join(directory, path);
const options = { vocabSize: 100, tokenizerSha256: "t", tokensPerShard: 50, documentsPerBatch: 3 };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shards-"));
});
afterEach(() => rm(directory, { recursive: true }));

function documentsOf(lengths: readonly number[]): TokenDocument[] {
  return lengths.map((length, d) => ({
    docId: docIdOf(`document ${d}`),
    source: `source-${d % 2}`,
    language: "python",
    tokens: Uint32Array.from({ length }, (_, i) => (d * 7 + i) % 100),
  }));
}

describe("shards", () => {
  it("read back any range of the token stream, and the documents it touches", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 25 }), fc.nat(), fc.nat(), async (lengths, a, b) => {
        const documents = documentsOf(lengths);
        await writeShards(directory, documents, options);
        const shards = await openShards(fileOf, { verify: true });
        const stream = documents.flatMap(({ tokens }) => [...tokens]);
        const start = a % stream.length;
        const length = 1 + (b % (stream.length - start));
        expect([...(await shards.readTokens(start, length))]).toEqual(stream.slice(start, start + length));

        const owner = documents.flatMap(({ tokens }, d) => [...tokens].map(() => d));
        expect(shards.documentsIn(start, length)).toEqual({ first: owner[start], last: owner[start + length - 1] });
        expect(shards.docIds).toEqual(documents.map(({ docId }) => docId));
        expect(shards.sources).toEqual(documents.map(({ source }) => source));
        await shards.close();
      }),
      { numRuns: 25 },
    );
  });

  it("are standard Arrow files whose bytes depend only on the documents", async () => {
    const documents = documentsOf([4, 30, 30, 1]);
    const first = await writeShards(directory, documents, options);
    const bytes = await readFile(join(directory, "shard-00000.arrow"));
    const second = await writeShards(directory, documents, options);
    expect(second).toEqual(first);
    expect(first.shards.map((shard) => shard.documents)).toEqual([3, 1]);
    const table = tableFromIPC(bytes);
    expect(table.schema.names).toEqual(["tokens", "doc_id", "source", "language", "n_tokens"]);
    expect([...(table.getChild("tokens")!.get(0) as Iterable<number>)]).toEqual([...documents[0]!.tokens]);
    expect(table.getChild("n_tokens")!.get(1)).toBe(30);
  });

  it("refuse a truncated and an altered shard, naming the file", async () => {
    await writeShards(directory, documentsOf([4, 5]), options);
    const path = join(directory, "shard-00000.arrow");
    const bytes = await readFile(path);
    await truncate(path, bytes.length - 1);
    await expect(openShards(fileOf)).rejects.toThrow(`${path}: expected ${bytes.length} bytes, found ${bytes.length - 1}`);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(path, bytes);
    await expect(openShards(fileOf, { verify: true })).rejects.toMatchObject({ code: "ShardCorrupt", details: { file: path } });
  });

  it("refuse a manifest whose shards are not the ones its root covers", async () => {
    await writeShards(directory, documentsOf([4]), options);
    const path = join(directory, SHARD_MANIFEST);
    await writeFile(path, (await readFile(path, "utf8")).replace(/"sha256": "./, '"sha256": "x'));
    await expect(openShards(fileOf)).rejects.toThrow("Merkle root");
    await writeFile(path, "{}");
    await expect(openShards(fileOf)).rejects.toMatchObject({ code: "ShardCorrupt" });
  });
});

describe("merkleRoot", () => {
  it("depends on every leaf and on their order", () => {
    const leaves = ["a", "b", "c"];
    expect(merkleRoot(leaves)).not.toBe(merkleRoot(["a", "c", "b"]));
    expect(merkleRoot(leaves)).not.toBe(merkleRoot(["a", "b", "d"]));
    expect(merkleRoot(["a"])).toBe("a");
    expect(merkleRoot([])).toHaveLength(64);
  });
});
