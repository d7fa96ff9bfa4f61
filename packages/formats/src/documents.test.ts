import { mkdtemp, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DOCUMENTS_FILE, docIdOf, readDocuments, writeDocuments, type DocumentRow } from "./documents.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "documents-"));
});
afterEach(() => rm(directory, { recursive: true }));

const row = (text: string): DocumentRow => ({
  docId: docIdOf(text),
  source: "card",
  path: "a/b.py",
  language: "python",
  license: "MIT",
  split: "train",
  text,
});

describe("documents", () => {
  it("come back as they were, across row groups, from equal bytes", async () => {
    const rows = Array.from({ length: 2100 }, (_, i) => row(`print(${i}) # ünïcode ${"x".repeat(i % 7)}\n`));
    await writeDocuments(directory, rows);
    const path = join(directory, DOCUMENTS_FILE);
    const bytes = await readFile(path);
    expect(await Array.fromAsync(readDocuments(path))).toEqual(rows);
    await writeDocuments(directory, rows);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  it("name a damaged file", async () => {
    await writeDocuments(directory, [row("x = 1\n")]);
    const path = join(directory, DOCUMENTS_FILE);
    await truncate(path, 20);
    await expect(Array.fromAsync(readDocuments(path))).rejects.toMatchObject({ code: "DocumentsCorrupt", details: { file: path } });
  });
});

describe("docIdOf", () => {
  it("is the first half of the sha256", () => {
    expect(docIdOf("")).toBe("e3b0c44298fc1c149afbf4c8996fb924");
  });
});
