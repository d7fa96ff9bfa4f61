// `npm test` after the set-up: lint, types and tests of every project through nx, then one line that counts them.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { countRun, readResults, summaryOf } from "./count-tests.ts";
import { RESULTS, runNx } from "./nx.ts";

rmSync(RESULTS, { recursive: true, force: true }); // of an earlier run
const projects = JSON.parse((await runNx(["show", "projects", "--json"])).output) as string[];
const run = await runNx(["run-many", "--targets", "lint", "typecheck", "test", "--nxBail=false", "--output-style=stream"], { show: true });
const counts = countRun(run, projects, (project) => readResults(join(RESULTS, `${project}.json`)));
console.log("\ntiers that were not run: interop (npm run test:interop), soak (npm run test:soak)");
console.log(summaryOf(counts));
process.exitCode = counts.failed === 0 ? 0 : 1;
