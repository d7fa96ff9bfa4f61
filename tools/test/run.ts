// `npm test` after the set-up: lint, types and tests of every project through nx, then one line that counts them.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ROOT, runNx } from "./nx.ts";
import { countTests } from "./count-tests.ts";

const RESULTS = join(ROOT, ".vitest");
const TARGETS = ["lint", "typecheck", "test"] as const;

rmSync(RESULTS, { recursive: true, force: true });
const projects = JSON.parse((await runNx(["show", "projects", "--json"])).output) as string[];
const run = await runNx(["run-many", "--targets", ...TARGETS, "--nxBail=false", "--output-style=stream"], { show: true });

// A lint or a type check of a project counts as one; of its tests, each one does.
let passed = 0;
let failed = 0;
let skipped = 0;
const isFailed = (project: string, target: string): boolean => run.failedTasks.has(`${project}:${target}`);
for (const project of projects) {
  for (const target of ["lint", "typecheck"]) {
    if (isFailed(project, target)) failed += 1;
    else passed += 1;
  }
  const counted = countTests(readResults(join(RESULTS, `${project}.json`)));
  passed += counted.passed;
  skipped += counted.skipped;
  // A runner that failed without a failed test, or left no results, is a failure of its own.
  failed += counted.failed > 0 || (counted.isComplete && !isFailed(project, "test")) ? counted.failed : 1;
}
const isGreen = run.exitCode === 0 && failed === 0;
if (run.exitCode !== 0 && failed === 0) failed = 1;
console.log("\ntiers that were not run: interop (npm run test:interop), soak (npm run test:soak)");
if (skipped > 0) console.log(`${skipped} skipped`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = isGreen ? 0 : 1;

function readResults(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
