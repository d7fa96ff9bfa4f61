import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { docIdOf, writeDocuments, type DocumentRow, type Split } from "@diffucoder/formats";
import { openStore } from "@diffucoder/lineage";
import { expect, test } from "vitest";
import { writeTable } from "../src/attribute-table.ts";
import { FILE_COLUMNS } from "../src/document-pool.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const TEXT_BYTES = 1 << 12;
const HEAP_MEGABYTES = 36;
const DOCUMENTS = 9500;
/** One word, quickly looked up, of many tokens. */
const LINE = "hsreltpusctapirhgwprrpmuehueqmxavycfysbjyaiptxmwznmxzsoeldbepgi\n";

const rowOf = (i: number): DocumentRow => {
  const text = `${i}\n${LINE.repeat(TEXT_BYTES / LINE.length)}`;
  return { docId: docIdOf(text), source: `card ${i % 2}`, path: `${i}.py`, language: "python", license: "MIT", split: i % 20 === 0 ? "validation" : "train", text };
};

async function tokenizeInAProcess(documents: number, heapMegabytes: number): Promise<{ summary: Record<Split, { documents: number; tokens: number }>; peakBytes: number }> {
  const folder = await temporaryDirectory();
  const rows = function* () {
    for (let i = 0; i < documents; i++) yield rowOf(i);
  };
  await writeDocuments(join(folder, "documents"), rows());
  await mkdir(join(folder, "documents/attributes"));
  const files = [...rows()].map(({ docId, source, path }, i) => ({ doc_id: docId, source, path, repository: `repository ${i % 999}`, license: "MIT", size_bytes: 1 }));
  await writeTable(join(folder, "documents/attributes/files.parquet"), FILE_COLUMNS, files);
  const store = await openStore(join(folder, "store"));
  const { digest } = await store.artifacts.publish("documents", join(folder, "documents"), {});
  const args = ["--conditions=@diffucoder/source", `--max-old-space-size=${heapMegabytes}`, "--max-semi-space-size=2", join(import.meta.dirname, "tokenize-in-a-process.ts"), join(folder, "store"), digest];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as Awaited<ReturnType<typeof tokenizeInAProcess>>;
}

test("a corpus larger than the memory it gets is tokenized, in no more than a few documents take", { timeout: 300_000 }, async () => {
  const [few, many] = await Promise.all([tokenizeInAProcess(64, HEAP_MEGABYTES), tokenizeInAProcess(DOCUMENTS, HEAP_MEGABYTES)]);
  expect(many.summary.train.documents + many.summary.validation.documents).toBe(DOCUMENTS);
  expect(DOCUMENTS * TEXT_BYTES).toBeGreaterThan(HEAP_MEGABYTES << 20); // texts would not fit; tokens lie outside of this heap
  expect(many.peakBytes - few.peakBytes).toBeLessThan(0.75 * 4 * many.summary.train.tokens);
});
