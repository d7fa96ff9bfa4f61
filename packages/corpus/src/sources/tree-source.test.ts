import { createHash } from "node:crypto";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadEntries } from "../../test/load-entries.ts";
import { temporaryDirectory, writeTree } from "../../test/temporary-directory.ts";
import { CardCheck } from "../waivers.ts";
import { listTree, treeDigest, type TreeOptions } from "./tree-source.ts";

const optionsOf = (directory: string, changes: Partial<TreeOptions> = {}): TreeOptions => ({ card: "tiny", directory, license: "MIT", largestFileBytes: 1000, check: new CardCheck(), ...changes });
const filesOf = (directory: string, changes: Partial<TreeOptions> = {}) => loadEntries(listTree(optionsOf(directory, changes)));

const hex = (content: string) => createHash("sha256").update(content).digest("hex");

test("a tree is read in order of its paths, at any depth, with its licence", async () => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "b.py": "b", "a/z.py": "z", "a/b/c.txt": "c", ".hidden": "h", "B.py": "B", "a-b.py": "ab" });
  const files = await filesOf(directory);
  expect(files.map(({ path, bytes, license }) => [path, Buffer.from(bytes as Uint8Array).toString(), license])).toEqual([
    [".hidden", "h", "MIT"],
    ["B.py", "B", "MIT"],
    ["a-b.py", "ab", "MIT"],
    ["a/b/c.txt", "c", "MIT"],
    ["a/z.py", "z", "MIT"],
    ["b.py", "b", "MIT"],
  ]);
});

test("links are told and not followed, neither to files nor to directories", async () => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "tree/real.py": "x", "outside/secret.py": "s" });
  await symlink(join(directory, "outside/secret.py"), join(directory, "tree/file.py"));
  await symlink(join(directory, "outside"), join(directory, "tree/folder"));
  await symlink(join(directory, "tree"), join(directory, "tree/loop"));
  expect((await filesOf(join(directory, "tree"))).map(({ path, bytes }) => [path, "reason" in bytes ? bytes.reason : "read"])).toEqual([
    ["file.py", "link"],
    ["folder", "link"],
    ["loop", "link"],
    ["real.py", "read"],
  ]);
});

test("the digest covers every path and every byte, as sha256sum would print them", async () => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "b.py": "two", "a.py": "one" });
  const digest = hex(`${hex("one")}  a.py\n${hex("two")}  b.py\n`);
  expect(await treeDigest(optionsOf(directory, { sha256: digest }))).toBe(digest);
  expect(await treeDigest(optionsOf(directory))).toBe(digest);
  expect(await treeDigest(optionsOf(await temporaryDirectory()))).toBe(hex(""));
});

test.each([
  ["a changed byte", { "a.py": "One" }],
  ["another file", { "c.py": "" }],
])("%s is drift, with what was expected and found", async (_, change) => {
  const directory = await temporaryDirectory();
  await writeTree(directory, { "b.py": "two", "a.py": "one" });
  const expected = await treeDigest(optionsOf(directory));
  await writeTree(directory, change as Record<string, string>);
  const found = await treeDigest(optionsOf(directory));
  expect(found).not.toBe(expected);
  await expect(treeDigest(optionsOf(directory, { sha256: expected }))).rejects.toMatchObject({
    code: "SourceDrift",
    retryable: false,
    message: `card tiny, tree: expected sha256 ${expected}, found sha256 ${found}. Fetch the right revision, review the change and update the card, or waive it in the recipe: waivers: [{ card: tiny, subject: tree, found: "sha256 ${found}", reason: ... }].`,
    details: { card: "tiny", subject: "tree", expected: `sha256 ${expected}`, found: `sha256 ${found}` },
  });
});

test("a directory that is not there, or is a file, is missing, and the error says what to do", async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "file"), "");
  await expect(filesOf(join(directory, "none"))).rejects.toMatchObject({
    code: "SourceMissing",
    message: `card tiny: expected a directory at ${join(directory, "none")}, found none (ENOENT). Fetch the source or correct \`origin.path\` in the card.`,
    details: { card: "tiny" },
  });
  await expect(filesOf(join(directory, "file"))).rejects.toMatchObject({ code: "SourceMissing", message: expect.stringContaining("found a file where a folder was expected (ENOTDIR)") as string });
});
