import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { basename, join } from "node:path";
import { countTests, readResults, summaryOf, withFailedRunner } from "./count-tests.ts";
import { RESULTS, ROOT } from "./nx.ts";

/**
 * Runs all tests of a folder and prints their number last.
 *
 * @param names of the files to run, or parts of them; all when there is none
 * @returns the exit code
 */
export function runTier(folder: string, names: readonly string[] = []): number {
  const results = join(RESULTS, `${basename(folder)}.json`);
  rmSync(results, { force: true }); // of an earlier run
  const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
  const { status } = spawnSync(process.execPath, [vitest, "run", "--dir", folder, "--reporter=default", "--reporter=json", `--outputFile.json=${results}`, ...names], { cwd: ROOT, stdio: "inherit" });
  const counts = withFailedRunner(countTests(readResults(results)), status !== 0);
  console.log(summaryOf(counts));
  return counts.failed === 0 ? 0 : 1;
}
