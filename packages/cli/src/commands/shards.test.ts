// `diffucoder shards` and `takedown`, on a folder and on an artifact.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, writeShards } from "@diffucoder/formats";
import { openStore } from "@diffucoder/lineage";
import { trainTokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createCommand } from "../command.ts";
import { EXIT } from "../exit-codes.ts";

const TEXTS = Array.from({ length: 6 }, (_, i) => `def f${i}(x):\n    return x + ${i}\n`);
const folder = mkdtempSync(join(tmpdir(), "diffucoder-shards-"));
const shards = join(folder, "shards");
let roots: string[];

beforeAll(async () => {
  vi.stubEnv("DIFFUCODER_HOME", folder);
  const tokenizer = await trainTokenizer(TEXTS, { vocabSize: 300 });
  const rows = TEXTS.map((text, i) => ({ docId: docIdOf(text), source: i < 4 ? "a" : "b", language: "python", tokens: tokenizer.encode(text) }));
  const options = { vocabSize: 300, tokenizerSha256: "0".repeat(64), tokensPerShard: 30 };
  roots = [(await writeShards(join(shards, "train"), rows, options)).root, (await writeShards(join(shards, "validation"), rows.slice(5), options)).root];
  writeFileSync(join(shards, "tokenizer.json"), tokenizer.toJson());
  const store = await openStore(join(folder, "store"));
  await store.names.assign("tokenize.shards@run-1", await store.artifacts.publish("shards", shards, {}));
  await store.names.assign("report@run-1", await store.artifacts.publish("report", join(shards, "validation"), {}));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** The command within this process: what it prints, and its exit code. */
async function diffucoder(...args: string[]): Promise<{ stdout: string; stderr: string; code: unknown }> {
  const outputs = [vi.spyOn(process.stdout, "write").mockReturnValue(true), vi.spyOn(process.stderr, "write").mockReturnValue(true)];
  const before = process.exitCode;
  try {
    await createCommand().parseAsync(args, { from: "user" });
    const [stdout, stderr] = outputs.map(({ mock }) => mock.calls.map(([text]) => text).join("")) as [string, string];
    return { stdout, stderr, code: process.exitCode };
  } finally {
    process.exitCode = before;
    for (const output of outputs) output.mockRestore();
  }
}

const json = async (...args: string[]) => JSON.parse((await diffucoder(...args, "-o", "json")).stdout);

test("verify says that shards are sound, by folder or by name", async () => {
  const { code, stdout } = await diffucoder("shards", "verify", shards);
  expect(code).toBeUndefined();
  expect(stdout).toMatch(new RegExp(`^train \\d shards, 6 documents, \\d+ tokens: sound, root ${roots[0]}\nvalidation 1 shards, 1 documents, \\d+ tokens: sound, root ${roots[1]}\n$`));
  expect((await diffucoder("shards", "verify", "tokenize.shards@run-1")).stdout).toBe(stdout);
  expect((await diffucoder("shards", "verify", join(shards, "validation"))).stdout).toBe(stdout.split("\n")[1]!.replace("validation ", "") + "\n");
});

test("stat counts by source and language", async () => {
  const { stdout } = await diffucoder("shards", "stat", shards);
  expect(stdout).toMatch(/^train \d shards, [\d.]+ k?B, vocabulary 300\nroot [0-9a-f]{64}\ntokenizer 0{64}\ntokens a document: \d+ to \d+, quartiles \d+, \d+, \d+\nsource or language +documents +different +tokens\na +4 +4 +\d+\nb +2 +2 +\d+\npython +6 +6 +\d+\nall +6 +6 +\d+\n\nvalidation /);
  expect(await json("shards", "stat", "tokenize.shards@run-1")).toMatchObject([{ split: "train", documents: 6, bySource: { a: { documents: 4 } } }, { split: "validation", documents: 1 }]);
});

test("head decodes the first documents, across shards", async () => {
  const rows = (await json("shards", "head", "tokenize.shards@run-1", "-n", "5")) as { docId: string; text: string; tokens: number[] }[];
  expect(rows.map(({ text }) => text)).toEqual(TEXTS.slice(0, 5));
  expect(rows[0]!.docId).toBe(docIdOf(TEXTS[0]!));
  expect((await diffucoder("shards", "head", shards)).stdout.split("\n\n")).toHaveLength(3);
  expect((await diffucoder("shards", "head", shards, "--split", "validation")).stdout).toMatch(new RegExp(`^${docIdOf(TEXTS[5]!)}  b  python  \\d+ tokens\ndef f5`));
  expect((await diffucoder("shards", "head", join(shards, "train"), "-n", "1")).stdout).toMatch(/^[0-9a-f]{32} {2}a {2}python {2}\d+ tokens\n[\d ]+\n$/); // no tokenizer beside it
});

test("verify names each damaged file and ends with the code for damage", async () => {
  const path = join(shards, "train", "shard-00000.arrow");
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.with(bytes.length >> 1, bytes[bytes.length >> 1]! ^ 1));
  const { code, stdout, stderr } = await diffucoder("shards", "verify", shards);
  writeFileSync(path, bytes);
  expect(code).toBe(EXIT.damaged);
  expect(stdout).toMatch(/^train shard-00000\.arrow: expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}\ntrain \d shards, .*: 1 damaged files\nvalidation .*: sound/);
  expect(stderr).toBe("Delete what is damaged and run the tokenize stage again.\n");
});

test.each([
  [() => ["shards", "stat", join(folder, "store")], /store: expected token shards, found no manifest\.json/],
  [() => ["shards", "stat", "report@run-2"], undefined],
  [() => ["shards", "head", shards, "-n", "0"], /^--documents: expected a whole number above 0, found 0/],
  [() => ["shards", "head", shards, "--split", "test"], /^--split: expected one of train, validation, found test/],
  [() => ["takedown", "0".repeat(32)], /^document 0{32}: expected one of a corpus in the store, found none/],
])("what is not there is a wrong command line or no artifact (%#)", async (args, message) => {
  await expect(diffucoder(...args())).rejects.toMatchObject(message === undefined ? { code: "ArtifactMissing" } : { code: "Usage", message: expect.stringMatching(message) });
});
