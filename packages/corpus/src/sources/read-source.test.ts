import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { includedPaths } from "../../test/included-paths.ts";
import { temporaryDirectory, writeTree } from "../../test/temporary-directory.ts";
import { tinyCard } from "../../test/tiny-card.ts";
import { offlineCache, tinyWheel } from "../../test/tiny-wheel.ts";
import { generateFiles } from "./generated-source.ts";
import { CardCheck } from "../waivers.ts";
import { identityOf } from "./read-source.ts";
import { treeDigest } from "./tree-source.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

async function treeCard(files: Record<string, string>, changes: Parameters<typeof tinyCard>[0] = {}) {
  const directory = await temporaryDirectory();
  await writeTree(join(directory, "tree"), files);
  return tinyCard({ directory, ...changes });
}

const FILES = { "b.py": "b\n", "a/c.py": "cc\n", "a.txt": "t\n", "setup.cfg": "s\n" };

test("the files that a card's globs match are read, in order of their paths, from beside the card", async () => {
  const paths = async (include: string[], counts: { files: number; bytes: number }) => includedPaths(await treeCard(FILES, { include, counts }));
  expect(await paths(["**/*.py"], { files: 2, bytes: 5 })).toEqual(["a/c.py", "b.py"]);
  expect(await paths(["*.py", "*.txt"], { files: 2, bytes: 4 })).toEqual(["a.txt", "b.py"]);
  expect(await paths(["a/**"], { files: 1, bytes: 3 })).toEqual(["a/c.py"]);
});

test.each([
  ["a file too few", { files: 3, bytes: 5 }, "3 files of 5 bytes"],
  ["a file too many", { files: 1, bytes: 5 }, "1 files of 5 bytes"],
  ["a byte too many", { files: 2, bytes: 4 }, "2 files of 4 bytes"],
])("%s for the card's counts is drift", async (_, counts, expected) => {
  await expect(includedPaths(await treeCard(FILES, { counts }))).rejects.toMatchObject({
    code: "SourceDrift",
    message: `card tiny, included files: expected ${expected}, found 2 files of 5 bytes. Fetch the right revision, review the change and update the card, or waive it in the recipe: waivers: [{ card: tiny, subject: included files, found: "2 files of 5 bytes", reason: ... }].`,
    details: { card: "tiny", subject: "included files", expected, found: "2 files of 5 bytes" },
  });
});

test("an unpinned tree without counts is accepted as it is", async () => {
  const { counts: _, ...card } = await treeCard(FILES);
  expect(await includedPaths(card)).toEqual(["a/c.py", "b.py"]);
});

test("globs that match nothing are drift, not an empty source", async () => {
  await expect(includedPaths(await treeCard(FILES, { include: ["**/*.rs"] }))).rejects.toMatchObject({ code: "SourceDrift", details: { found: "0 files of 0 bytes" } });
});

test("a tree that its card pins is checked by digest before it is counted", async () => {
  const card = await treeCard(FILES, { counts: { files: 9, bytes: 9 }, origin: { kind: "tree", path: "tree", sha256: "0".repeat(64), license: "MIT" } });
  await expect(includedPaths(card)).rejects.toMatchObject({ code: "SourceDrift", details: { subject: "tree", expected: `sha256 ${"0".repeat(64)}` } });
  await expect(identityOf(card)).rejects.toMatchObject({ code: "SourceDrift" });
});

test("wheels are read in order of their paths, not of the card", async () => {
  const [a, b] = [tinyWheel("tiny-a", { "x.py": "xx\n" }), tinyWheel("tiny-b", { "y.py": "y\n" })];
  await offlineCache({ cached: [a, b] });
  const paths = await includedPaths(tinyCard({ origin: { kind: "wheels", wheels: [b.pin, a.pin] }, counts: { files: 2, bytes: 5 } }));
  expect(paths).toEqual(["tiny-a-1.0/x.py", "tiny-b-1.0/y.py"]);
});

test("generated programs are counted like any others, so that a changed generator shows", async () => {
  const origin = { kind: "generated-tasks", families: ["named"], count: 3, seed: 1, license: "MIT" } as const;
  const bytes = generateFiles(origin).reduce((sum, file) => sum + (file.bytes as Uint8Array).length, 0);
  const card = (counts: { files: number; bytes: number }) => tinyCard({ origin: { ...origin, families: ["named"] }, counts });
  expect(await includedPaths(card({ files: 3, bytes }))).toEqual(generateFiles(origin).map(({ path }) => path).sort());
  await expect(includedPaths(card({ files: 3, bytes: bytes + 1 }))).rejects.toMatchObject({ code: "SourceDrift", details: { found: `3 files of ${bytes} bytes` } });
});

test("a source's identity is its card, and for a tree also what lies in it, included or not", async () => {
  const card = await treeCard(FILES);
  const tree = { card: "tiny", directory: join(card.directory, "tree"), license: "MIT", largestFileBytes: 1000, check: new CardCheck() };
  expect(await identityOf(card)).toBe(`${card.sha256} ${await treeDigest(tree)}`);
  const before = await identityOf(card);
  await writeTree(card.directory, { "tree/setup.cfg": "S\n" });
  expect(await identityOf(card)).not.toBe(before);
  const wheel = tinyWheel("tiny-a", {});
  expect(await identityOf(tinyCard({ sha256: "1".repeat(64), origin: { kind: "wheels", wheels: [wheel.pin] } }))).toBe("1".repeat(64));
});
