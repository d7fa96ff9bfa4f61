// `npm run bench:dedup:scale [-- DOCUMENTS...]`: time and memory of near-deduplication of synthetic documents, by number.
// A run that was ended goes on from the units of work that it had finished: give it the folder again with DEDUP_FOLDER.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copiesAmong } from "./synthetic.ts";

const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100_000, 500_000, 2_000_000];
console.log(`${"documents".padStart(10)} ${"text MB".padStart(8)} ${"s".padStart(7)} ${"docs/s".padStart(8)} ${"peak MB".padStart(8)} ${"spilled MB".padStart(10)}  recall  units done, reused`);
for (const count of counts) {
  const folder = process.env.DEDUP_FOLDER ?? mkdtempSync(join(tmpdir(), "dedup-"));
  // In a process of its own, whose peak of memory is then its own too.
  const run = spawnSync(process.execPath, ["--conditions=@diffucoder/source", join(import.meta.dirname, "synthetic-run.ts"), folder, String(count), "2"], { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
  if (run.status !== 0) process.exit(1);
  const { summary, units, bytes, seconds, peakBytes } = JSON.parse(run.stdout);
  const spilled = spawnSync("du", ["-sm", folder], { encoding: "utf8" }).stdout.split("\t")[0]!;
  const cells = [count, (bytes / 1e6).toFixed(0), seconds.toFixed(1), (count / seconds).toFixed(0), (peakBytes / 1e6).toFixed(0), spilled];
  console.log(`${cells.map((cell, i) => String(cell).padStart([10, 8, 7, 8, 8, 10][i]!)).join(" ")}  ${(summary.removed / copiesAmong(count)).toFixed(4)}  ${units.done}, ${units.reused}`);
  if (process.env.DEDUP_FOLDER === undefined) rmSync(folder, { recursive: true });
}
