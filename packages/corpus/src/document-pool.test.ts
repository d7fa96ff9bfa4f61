import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../test/temporary-directory.ts";
import { DocumentPool } from "./document-pool.ts";

test("what many documents have in common is in memory once", async () => {
  setFlagsFromString("--expose-gc");
  const heap = () => {
    (runInNewContext("gc") as () => void)();
    return process.memoryUsage().heapUsed;
  };
  const count = 10_000;
  const origin = { repository: `owner/${"r".repeat(1000)}`, commit: "c".repeat(1000), license: "l".repeat(1000) };
  const location = join(await temporaryDirectory(), "files.jsonl");
  const docIdOf = (i: number) => createHash("sha256").update(String(i)).digest("hex").slice(0, 32);
  const records = Array.from({ length: count }, (_, i) => ({ ...origin, path: `${i}.py`, role: "included", sizeBytes: 1, text: { docId: docIdOf(i), offset: i, bytes: 1 } }));
  await writeFile(location, records.map((record) => `${JSON.stringify(record)}\n`).join(""));
  const pool = await DocumentPool.create({ keeper: "first" });
  const before = heap();
  await pool.add("card", { key: "0", isFound: false, files: { "files.jsonl": { location, sha256: "0", bytes: 1 } } });
  const bytes = (heap() - before) / count;
  expect(pool.get(docIdOf(7))).toEqual({ ...origin, path: "7.py", docId: docIdOf(7), source: "card", bytes: 1, file: 7, copies: 1, licenses: [origin.license] });
  expect(bytes).toBeLessThan(600);
});
