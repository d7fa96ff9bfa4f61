// `npm run test:interop` and `npm run test:soak`: tiers of their own, since they need peers from pip or hours.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { countTests } from "./count-tests.ts";
import { ROOT } from "./nx.ts";

const tier = process.argv[2]!;
const folder = join(ROOT, "test", tier);
const files = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts")) : [];
if (files.length === 0) {
  console.log(`tier ${tier}: skipped, there is no test in test/${tier} yet`);
  process.exit(0);
}
const results = join(ROOT, ".vitest", `${tier}.json`);
const { status } = spawnSync(process.execPath, [join(ROOT, "node_modules", "vitest", "vitest.mjs"), "run", "--dir", folder, "--reporter=default", "--reporter=json", `--outputFile.json=${results}`], { cwd: ROOT, stdio: "inherit" });
const { passed, failed } = countTests(readFileSync(results, "utf8"));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = status ?? 1;
