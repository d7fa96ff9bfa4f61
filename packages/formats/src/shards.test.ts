import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, readdir, readlink, rm, truncate, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tableFromIPC } from "apache-arrow";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { docIdOf } from "./documents.ts";
import { SHARD_MANIFEST, merkleRoot, type ShardManifest } from "./shard-manifest.ts";
import { openShards, type ShardSet } from "./shard-set.ts";
import { writeShards, type TokenDocument } from "./write-shards.ts";

let directory: string;
const opened: ShardSet[] = [];
const fileOf = async (path: string) => join(directory, path);
const OPTIONS = { vocabSize: 100, tokenizerSha256: "t", tokensPerShard: 50, documentsPerBatch: 3 };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shards-"));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((shards) => shards.close()));
  await rm(directory, { recursive: true });
});

async function openAll(options?: Parameters<typeof openShards>[1]): Promise<ShardSet> {
  const shards = await openShards(fileOf, options);
  opened.push(shards);
  return shards;
}

function documentsOf(lengths: readonly number[]): TokenDocument[] {
  return lengths.map((length, d) => ({
    docId: docIdOf(`document ${d}`),
    source: `source-${d % 2}`,
    language: d % 3 === 0 ? "python" : "ünï😀",
    tokens: Uint32Array.from({ length }, (_, i) => (d * 7 + i) % 100),
  }));
}

const sha256 = (content: string | Uint8Array) => createHash("sha256").update(content).digest("hex");
const shardPath = (index = 0) => join(directory, `shard-0000${index}.arrow`);
const readManifest = async () => JSON.parse(await readFile(join(directory, SHARD_MANIFEST), "utf8")) as ShardManifest;
const rewriteManifest = (manifest: unknown) => writeFile(join(directory, SHARD_MANIFEST), typeof manifest === "string" ? manifest : JSON.stringify(manifest));
const openFiles = async () => Promise.all((await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));

describe("writing", () => {
  test("closes a shard once it holds the tokens asked for, and says in the manifest what is where", async () => {
    const manifest = await writeShards(directory, documentsOf([4, 30, 16, 1, 49, 1, 7]), OPTIONS);
    const files = await Promise.all([0, 1, 2].map((index) => readFile(shardPath(index))));
    const shards = [
      { path: "shard-00000.arrow", documents: 3, tokens: 50 },
      { path: "shard-00001.arrow", documents: 2, tokens: 50 },
      { path: "shard-00002.arrow", documents: 2, tokens: 8 },
    ].map((shard, i) => ({ ...shard, sha256: sha256(files[i]!), bytes: files[i]!.length }));
    expect(manifest).toEqual({
      version: 1,
      root: sha256(sha256(shards[0]!.sha256 + shards[1]!.sha256) + shards[2]!.sha256),
      vocabSize: 100,
      tokenizerSha256: "t",
      documents: 7,
      tokens: 108,
      shards,
    });
    expect(await readFile(join(directory, SHARD_MANIFEST), "utf8")).toBe(`${JSON.stringify(manifest, null, 2)}\n`);
    expect((await readdir(directory)).sort()).toEqual(["manifest.json", ...shards.map(({ path }) => path)]);
  });

  test("gives uncompressed Arrow files that any reader takes", async () => {
    const documents = documentsOf([4, 0, 3, 5]);
    documents[3]!.tokens[0] = 0xffffffff;
    await writeShards(directory, documents, { ...OPTIONS, vocabSize: 2 ** 32 });
    const bytes = await readFile(shardPath());
    const table = tableFromIPC(bytes);
    expect(table.schema.fields.map(({ name, type, nullable }) => [name, String(type), nullable])).toEqual([
      ["tokens", "List<Uint32>", false],
      ["doc_id", "FixedSizeBinary[16]", false],
      ["source", "Utf8", false],
      ["language", "Utf8", false],
      ["n_tokens", "Int32", false],
    ]);
    expect(table.batches.map((batch) => batch.numRows)).toEqual([3, 1]);
    const rows = table.toArray().map((row) => ({
      docId: Buffer.from(row!.doc_id as Uint8Array).toString("hex"),
      source: row!.source as string,
      language: row!.language as string,
      tokens: Uint32Array.from(row!.tokens as Iterable<number>),
    }));
    expect(rows).toEqual(documents);
    expect(table.toArray().map((row) => row!.n_tokens as number)).toEqual([4, 0, 3, 5]);
    expect(bytes.includes(Buffer.from(documents[0]!.tokens.buffer))).toBe(true); // as they are, not compressed
  });

  test("gives equal bytes for equal documents, and others for others", async () => {
    const write = async (documents: TokenDocument[], changes = {}) => {
      await rm(directory, { recursive: true });
      const { root } = await writeShards(directory, documents, { ...OPTIONS, ...changes }); // makes the folder
      return root;
    };
    const base = documentsOf([4, 30, 30, 1]);
    const root = await write(base);
    expect(await write(documentsOf([4, 30, 30, 1]))).toBe(root);
    expect(await write(base, { vocabSize: 700, tokenizerSha256: "other" })).toBe(root); // of the manifest, not of the shards
    const change = (field: Partial<TokenDocument>) => write(base.map((document, i) => (i === 3 ? { ...document, ...field } : document)));
    const others = [
      await change({ docId: docIdOf("x") }),
      await change({ source: "x" }),
      await change({ language: "x" }),
      await change({ tokens: Uint32Array.of(99) }),
      await write([...base].reverse()),
      await write(base, { tokensPerShard: 20 }),
      await write(base, { documentsPerBatch: 1 }),
    ];
    expect(new Set([root, ...others]).size).toBe(8);
  });

  test("fills batches of 256 documents and shards of 2^24 tokens when nothing else is said", async () => {
    const one = { ...documentsOf([1])[0]!, docId: docIdOf("one") };
    const bare = { vocabSize: 100, tokenizerSha256: "t" };
    await writeShards(directory, Array.from({ length: 300 }, () => one), bare);
    expect(tableFromIPC(await readFile(shardPath())).batches.map((batch) => batch.numRows)).toEqual([256, 44]);
    const full = { ...one, tokens: new Uint32Array(2 ** 24 - 1) };
    const { shards } = await writeShards(directory, [full, one, one], bare);
    expect(shards.map(({ documents, tokens }) => [documents, tokens])).toEqual([[2, 2 ** 24], [1, 1]]);
  });

  test.each(["", "abc", "G".repeat(32), "A".repeat(32), "0".repeat(33)])("refuses %j as an id", async (docId) => {
    await expect(writeShards(directory, [{ ...documentsOf([1])[0]!, docId }], OPTIONS)).rejects.toThrow(
      new RangeError(`docId: expected 32 hexadecimal digits, found ${docId}`),
    );
  });

  test("refuses a token beyond the vocabulary", async () => {
    const document = { ...documentsOf([1])[0]!, tokens: Uint32Array.of(99, 100) };
    await expect(writeShards(directory, [document], OPTIONS)).rejects.toThrow(new RangeError(`document ${document.docId}: expected ids below 100, found 100`));
  });
});

describe("reading", () => {
  test("gives any range of the token stream, and the documents it touches, across batches and shards", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 25 }), fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 4 }), async (lengths, ranges) => {
        const documents = documentsOf(lengths);
        const { shards: entries } = await writeShards(directory, documents, OPTIONS);
        const shards = await openShards(fileOf, { verify: true });
        const stream = documents.flatMap(({ tokens }) => [...tokens]);
        const owner = documents.flatMap(({ tokens }, d) => [...tokens].map(() => d));
        expect([shards.tokenCount, shards.documentCount, shards.manifest.shards]).toEqual([stream.length, documents.length, entries]);
        expect([...shards.readTokens(0, stream.length)]).toEqual(stream);
        for (const [a, b] of stream.length === 0 ? [] : ranges) {
          const start = a % stream.length;
          const length = 1 + (b % (stream.length - start));
          expect([...shards.readTokens(start, length)]).toEqual(stream.slice(start, start + length));
          expect(shards.documentsIn(start, length)).toEqual({ first: owner[start], last: owner[start + length - 1] });
        }
        expect(shards.docIds).toEqual(documents.map(({ docId }) => docId));
        expect(shards.sources).toEqual(documents.map(({ source }) => source));
        expect([...shards.documentOffsets]).toEqual(lengths.reduce((offsets, length) => [...offsets, offsets.at(-1)! + length], [0]));
        await shards.close();
      }),
      { numRuns: 30, examples: [[[0], [[0, 0]]], [[0, 0, 0, 5, 0, 0, 0, 0, 50, 0], [[4, 2]]]] },
    );
  });

  test.skipIf(process.platform !== "linux")("takes from the disk what is asked for, not the record batch around it", async () => {
    const tokens = Uint32Array.from({ length: 100_000 }, (_, i) => i);
    await writeShards(directory, [{ ...documentsOf([1])[0]!, tokens }], { vocabSize: 100_000, tokenizerSha256: "t" });
    const shards = await openAll();
    const bytesRead = () => Number(/^rchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))![1]);
    const itself = -(bytesRead() - bytesRead());
    const before = bytesRead();
    expect([...shards.readTokens(70_000, 3)]).toEqual([70_000, 70_001, 70_002]);
    expect(bytesRead() - before - itself).toBeLessThan(100);
  });

  test("of an empty set gives nothing", async () => {
    expect(await writeShards(directory, [], OPTIONS)).toMatchObject({ documents: 0, tokens: 0, shards: [], root: sha256("") });
    const shards = await openAll();
    expect([shards.tokenCount, shards.documentCount, [...shards.documentOffsets]]).toEqual([0, 0, [0]]);
    expect(shards.readTokens(0, 0)).toEqual(new Uint32Array(0));
    expect(() => shards.readTokens(0, 1)).toThrow(new RangeError("tokens: expected a range within [0, 0), found [0, 1)"));
  });

  test.each([[-1, 2], [0, 10], [9, 1], [5, 5], [2, -1], [NaN, 1], [0, NaN]])("from %d on, %d tokens of 9, is out of range", async (start, length) => {
    await writeShards(directory, documentsOf([4, 5]), OPTIONS);
    const shards = await openAll();
    const error = new RangeError(`tokens: expected a range within [0, 9), found [${start}, ${start + length})`);
    expect(() => shards.readTokens(start, length)).toThrow(error);
    expect(() => shards.documentsIn(start, length)).toThrow(error);
    expect([...shards.readTokens(4, 5)]).toEqual([7, 8, 9, 10, 11]);
    expect(shards.readTokens(9, 0)).toEqual(new Uint32Array(0));
  });

  test("no token is in no document", async () => {
    await writeShards(directory, documentsOf([4, 5]), OPTIONS);
    const shards = await openAll();
    expect(() => shards.documentsIn(3, 0)).toThrow(new RangeError("tokens: expected at least one, found none"));
  });

  test("fills what it is given, if that has the right length", async () => {
    await writeShards(directory, documentsOf([4, 5]), OPTIONS);
    const shards = await openAll();
    const room = new Uint32Array(6).fill(9);
    const into = room.subarray(1, 5);
    expect(shards.readTokens(2, 4, into)).toBe(into);
    expect([...room]).toEqual([9, 2, 3, 7, 8, 9]);
    expect(() => shards.readTokens(2, 3, into)).toThrow(new RangeError("room: expected that of 3 tokens, found 4"));
  });

  test("returns tokens that the caller may change", async () => {
    await writeShards(directory, documentsOf([4]), OPTIONS);
    const shards = await openAll();
    shards.readTokens(0, 4).fill(9);
    expect([...shards.readTokens(0, 4)]).toEqual([0, 1, 2, 3]);
  });

  test.skipIf(process.platform !== "linux")("keeps files open until it is closed, and none after a failure", async () => {
    await writeShards(directory, documentsOf([50, 50]), OPTIONS);
    const shards = await openShards(fileOf);
    expect((await openFiles()).filter((path) => path.startsWith(directory)).sort()).toEqual([shardPath(0), shardPath(1)]);
    await shards.close();
    expect((await openFiles()).filter((path) => path.startsWith(directory))).toEqual([]);
    await truncate(shardPath(1), 8);
    await expect(openShards(fileOf)).rejects.toMatchObject({ code: "ShardCorrupt" });
    expect((await openFiles()).filter((path) => path.startsWith(directory))).toEqual([]);
  });
});

describe("damage is ShardCorrupt, naming the file, what was expected and found", () => {
  const refused = async (path: string, problem: string | RegExp, options: Parameters<typeof openShards>[1] = {}) => {
    const opening = openAll(options);
    await expect(opening).rejects.toMatchObject({ code: "ShardCorrupt", retryable: false, details: { file: path } });
    await expect(opening).rejects.toThrow(problem);
    await expect(opening).rejects.toThrow(/\. Delete it and run the tokenize stage again$/);
  };

  test("of a shard that was cut off or grew", async () => {
    await writeShards(directory, documentsOf([4, 50, 50]), OPTIONS);
    const bytes = await readFile(shardPath(1));
    await truncate(shardPath(1), bytes.length - 1);
    await refused(shardPath(1), `${shardPath(1)}: expected ${bytes.length} bytes, found ${bytes.length - 1}`);
    await writeFile(shardPath(1), Buffer.concat([bytes, Buffer.of(0)]));
    await refused(shardPath(1), `expected ${bytes.length} bytes, found ${bytes.length + 1}`);
  });

  test("of a shard with a flipped bit: found when hashes are verified, and only then", async () => {
    const manifest = await writeShards(directory, documentsOf([50, 5]), OPTIONS);
    const bytes = await readFile(shardPath(1));
    bytes[bytes.indexOf(Buffer.from(documentsOf([50, 5])[1]!.tokens.buffer))]! ^= 1;
    await writeFile(shardPath(1), bytes);
    await refused(shardPath(1), `expected sha256 ${manifest.shards[1]!.sha256}, found ${sha256(bytes)}`, { verify: true });
    await openAll({ verify: false });
    expect([...(await openAll()).readTokens(50, 2)]).toEqual([6, 8]);
  });

  test("of a shard that is no Arrow file", async () => {
    await writeShards(directory, documentsOf([4]), OPTIONS);
    await writeFile(shardPath(), Buffer.alloc((await readFile(shardPath())).length, "x"));
    await refused(shardPath(), /expected an Arrow file of token documents, found \w*Error/);
  });

  test("of a shard whose counts do not fit its tokens", async () => {
    await writeShards(directory, documentsOf([7, 1003]), { ...OPTIONS, tokensPerShard: 5000 });
    const bytes = await readFile(shardPath());
    const at = bytes.indexOf(Buffer.from(Int32Array.of(7, 1003).buffer)); // the column n_tokens
    expect(at).toBeGreaterThan(0);
    bytes.writeInt32LE(8, at);
    await writeFile(shardPath(), bytes);
    await refused(shardPath(), "expected an Arrow file of token documents, found RangeError: n_tokens that add up to 1011 over 1010 tokens");
  });

  test.each([
    ["documents", { documents: 3 }, "expected 3 documents of 9 tokens, found 2 of 9"],
    ["tokens", { tokens: 8 }, "expected 2 documents of 8 tokens, found 2 of 9"],
  ])("of a manifest that counts other %s than the shard holds", async (_, counts, problem) => {
    await writeShards(directory, documentsOf([4, 5]), OPTIONS);
    const manifest = await readManifest();
    await rewriteManifest({ ...manifest, ...counts, shards: [{ ...manifest.shards[0], ...counts }] });
    await refused(shardPath(), problem);
  });

  const manifests: [string, (manifest: ShardManifest) => unknown, string | RegExp][] = [
    ["no JSON", () => "{", /manifest\.json: expected JSON, found Expected property name/],
    ["an empty object", () => ({}), /✖ Invalid input: expected 1\n {2}→ at version/],
    ["another version", (manifest) => ({ ...manifest, version: 2 }), /✖ Invalid input: expected 1\n {2}→ at version/],
    ["an unknown key", (manifest) => ({ ...manifest, sorted: true }), '✖ Unrecognized key: "sorted"'],
    ["an unknown key of a shard", ({ shards, ...rest }) => ({ ...rest, shards: [{ ...shards[0], url: "x" }, shards[1]] }), /✖ Unrecognized key: "url"\n {2}→ at shards\[0\]/],
    ["a total that is no sum of documents", (manifest) => ({ ...manifest, documents: 3 }), /✖ expected the sum over shards\n {2}→ at documents/],
    ["a total that is no sum of tokens", (manifest) => ({ ...manifest, tokens: 3 }), /✖ expected the sum over shards\n {2}→ at tokens/],
    ["another root", (manifest) => ({ ...manifest, root: "0".repeat(64) }), /expected Merkle root 0{64}, found [0-9a-f]{64}/],
    ["shards in another order", (manifest) => ({ ...manifest, shards: [...manifest.shards].reverse() }), /expected Merkle root [0-9a-f]{64}, found [0-9a-f]{64}/],
  ];
  test.each(manifests)("of a manifest with %s", async (_, change, problem) => {
    await writeShards(directory, documentsOf([50, 50]), OPTIONS);
    await rewriteManifest(change(await readManifest()));
    await refused(join(directory, SHARD_MANIFEST), problem);
  });

  test("of a file that was cut off while it was open", async () => {
    await writeShards(directory, documentsOf([5]), OPTIONS);
    const bytes = await readFile(shardPath());
    const at = bytes.indexOf(Buffer.from(documentsOf([5])[0]!.tokens.buffer));
    const shards = await openAll();
    await truncate(shardPath(), at + 12);
    expect(() => shards.readTokens(1, 4)).toThrow(
      expect.objectContaining({ code: "ShardCorrupt", details: { file: shardPath(), problem: `expected 16 bytes of tokens from byte ${at + 4} on, found 8` } }) as Error,
    );
    expect([...shards.readTokens(1, 2)]).toEqual([1, 2]);
    await writeFile(shardPath(), bytes); // put right, it can be read
    expect([...shards.readTokens(0, 5)]).toEqual([0, 1, 2, 3, 4]);
  });

  test("of a file that got an id beyond the vocabulary while it was open, naming the document", async () => {
    await writeShards(directory, documentsOf([5, 6, 7]), OPTIONS);
    const bytes = await readFile(shardPath());
    const shards = await openAll();
    bytes.writeUInt32LE(100, bytes.indexOf(Buffer.from(documentsOf([5, 6])[1]!.tokens.buffer)) + 4 * 2);
    await writeFile(shardPath(), bytes);
    const problem = `expected ids below 100, found 100 at token 2 of document ${docIdOf("document 1")}`;
    expect(() => shards.readTokens(6, 9)).toThrow(expect.objectContaining({ code: "ShardCorrupt", details: { file: shardPath(), problem } }) as Error);
    expect([...shards.readTokens(5, 2)]).toEqual([7, 8]);
  });

  test("of a file that was altered while it was open: found when it is rechecked", async () => {
    const manifest = await writeShards(directory, documentsOf([50, 5]), OPTIONS);
    await utimes(shardPath(1), 0, 0); // clocks of file systems tick in milliseconds: what follows is later
    const shards = await openAll();
    const whole = await readFile(shardPath(1));
    await shards.recheck();
    const altered = Uint8Array.from(whole);
    altered[whole.indexOf(Buffer.from(documentsOf([50, 5])[1]!.tokens.buffer))]! ^= 1;
    await writeFile(shardPath(1), altered);
    for (let time = 0; time < 2; time++) {
      await expect(shards.recheck()).rejects.toMatchObject({ code: "ShardCorrupt", details: { file: shardPath(1), problem: `expected sha256 ${manifest.shards[1]!.sha256}, found ${sha256(altered)}` } });
    }
    await writeFile(shardPath(1), whole); // put right, it is as good as before
    await shards.recheck();
  });

  test("while a missing file is the error of the disk or store", async () => {
    await writeShards(directory, documentsOf([4]), OPTIONS);
    await unlink(shardPath());
    await expect(openAll()).rejects.toMatchObject({ code: "ENOENT" });
    await unlink(join(directory, SHARD_MANIFEST));
    await expect(openAll()).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("merkleRoot", () => {
  test("joins leaves pairwise, by the sha256 of their text; an odd one moves up as it is", () => {
    const ab = "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"; // sha256("ab"), by sha256sum
    expect(merkleRoot(["a", "b"])).toBe(ab);
    expect(merkleRoot(["a", "b", "c"])).toBe(sha256(`${ab}c`));
    const cd = sha256("cd");
    expect(merkleRoot(["a", "b", "c", "d"])).toBe(sha256(ab + cd));
    // Five leaves: ab, cd, e, then abcd, e, then their parent.
    expect(merkleRoot(["a", "b", "c", "d", "e"])).toBe(sha256(`${sha256(ab + cd)}e`));
    // Six: ab, cd, ef, then abcd, ef.
    expect(merkleRoot(["a", "b", "c", "d", "e", "f"])).toBe(sha256(sha256(ab + cd) + sha256("ef")));
  });

  test("of one leaf is the leaf, of none the sha256 of nothing", () => {
    expect(merkleRoot(["a"])).toBe("a");
    expect(merkleRoot([])).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("depends on every leaf and on their order", () => {
    const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
    fc.assert(
      fc.property(fc.uniqueArray(hex, { minLength: 2, maxLength: 9 }), fc.nat(), hex, (leaves, at, other) => {
        const [i, j] = [at % leaves.length, (at + 1) % leaves.length];
        fc.pre(!leaves.includes(other));
        const root = merkleRoot(leaves);
        expect(merkleRoot(leaves.map((leaf, k) => (k === i ? other : leaf)))).not.toBe(root);
        expect(merkleRoot(leaves.map((leaf, k) => (k === i ? leaves[j]! : k === j ? leaves[i]! : leaf)))).not.toBe(root);
        expect(merkleRoot(leaves.slice(0, -1))).not.toBe(root);
      }),
      { numRuns: 30 },
    );
  });
});
