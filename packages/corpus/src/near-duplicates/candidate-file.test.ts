import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CandidateFileWriter, countCandidates, readCandidates } from "./candidate-file.ts";
import { comparedInGroup } from "./units.ts";

test("pairs beyond what memory is for are written as several runs, and read by range from all", () => {
  const directory = mkdtempSync(join(tmpdir(), "candidates-"));
  const path = join(directory, "pairs");
  const writer = new CandidateFileWriter(path);
  const count = 2 ** 22 + 10;
  for (let i = 0; i < count; i++) writer.add(count - i, 7); // in descending order, all distinct
  writer.add(1, 7);
  writer.skip(5);
  expect(readdirSync(directory).every((name) => name.endsWith(".tmp"))).toBe(true);
  writer.publish();
  expect(readdirSync(directory)).toEqual(["pairs"]);
  expect(countCandidates(path)).toEqual({ records: count, skipped: 5 });
  expect(readCandidates(path, 9, 13).map((run) => [...run])).toEqual([[7, 11, 7, 12], [7, 9, 7, 10]]);
  expect(readCandidates(path, 0, 2).map((run) => [...run])).toEqual([[], [7, 1]]);
  rmSync(directory, { recursive: true });
});

test("groups of up to 128 are compared in full, large ones with eight", () => {
  expect([1, 2, 128, 129, 1024, 2048, 1e6].map(comparedInGroup)).toEqual([1, 2, 128, 127, 16, 8, 8]);
});
