// `npm run bench:dedup:scale [-- DOCUMENTS...]`: time and memory of near-deduplication of synthetic documents, by number.
// A run that was ended goes on from the units of work that it had finished: give it the folder again with DEDUP_FOLDER.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { findNearDuplicates } from "@diffucoder/corpus";
import { copiesAmong, syntheticDocuments } from "./synthetic.ts";

if (process.env.DEDUP_COUNT === undefined) runEach(process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100_000, 500_000, 2_000_000]);
else await runOne(Number(process.env.DEDUP_COUNT), process.env.DEDUP_FOLDER!);

/** Each in a process of its own, whose peak of memory is then its own too. */
function runEach(counts: readonly number[]): void {
  console.log(`${"documents".padStart(10)} ${"text MB".padStart(8)} ${"s".padStart(7)} ${"docs/s".padStart(8)} ${"peak MB".padStart(8)} ${"spilled MB".padStart(10)}  recall  units done, reused`);
  for (const count of counts) {
    const folder = process.env.DEDUP_FOLDER ?? mkdtempSync(join(tmpdir(), "dedup-"));
    const { status } = spawnSync(process.execPath, ["--conditions=@diffucoder/source", import.meta.filename], { stdio: "inherit", env: { ...process.env, DEDUP_COUNT: String(count), DEDUP_FOLDER: folder } });
    if (process.env.DEDUP_FOLDER === undefined) rmSync(folder, { recursive: true });
    if (status !== 0) process.exit(1);
  }
}

async function runOne(count: number, directory: string): Promise<void> {
  const started = performance.now();
  let bytes = 0;
  const counted = function* () {
    for (const document of syntheticDocuments(count)) {
      bytes += document.text.length;
      yield document;
    }
  };
  const phases: Record<string, number> = {};
  const { summary, units } = await findNearDuplicates(counted(), {
    directory,
    threshold: 0.8,
    execution: { workers: Math.min(2, availableParallelism()) },
    onProgress: ({ phase }) => (phases[phase] = (performance.now() - started) / 1000),
  });
  const seconds = (performance.now() - started) / 1000;
  const spilled = Number(spawnSync("du", ["-sm", directory], { encoding: "utf8" }).stdout.split("\t")[0]);
  const cells = [count, (bytes / 1e6).toFixed(0), seconds.toFixed(1), (count / seconds).toFixed(0), (process.resourceUsage().maxRSS / 1024).toFixed(0), spilled];
  console.log(`${cells.map((cell, i) => String(cell).padStart([10, 8, 7, 8, 8, 10][i]!)).join(" ")}  ${(summary.removed / copiesAmong(count)).toFixed(4)}  ${units.done}, ${units.reused}`);
  console.log(JSON.stringify({ ...summary, phases }));
}
