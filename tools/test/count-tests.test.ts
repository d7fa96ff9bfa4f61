import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { countRun, countTests, summaryOf } from "./count-tests.ts";
import { RESULTS, failedTasksIn } from "./nx.ts";

const results = (success: boolean, ...files: { status: string; tests: string[] }[]): string =>
  JSON.stringify({ success, testResults: files.map(({ status, tests }) => ({ status, assertionResults: tests.map((test) => ({ status: test })) })) });

test("tests are counted by their status", () => {
  expect(countTests(results(true, { status: "passed", tests: ["passed", "passed", "skipped"] }, { status: "passed", tests: ["passed", "todo"] }))).toEqual({ passed: 3, failed: 0, skipped: 2, isComplete: true });
  expect(countTests(results(false, { status: "failed", tests: ["passed", "failed", "failed"] }))).toEqual({ passed: 1, failed: 2, skipped: 0, isComplete: true });
});

test("a file that cannot be loaded counts as one failed test", () => {
  expect(countTests(results(false, { status: "failed", tests: [] }, { status: "passed", tests: ["passed"] }))).toMatchObject({ passed: 1, failed: 1 });
  expect(countTests(results(false, { status: "failed", tests: ["skipped"] }))).toMatchObject({ failed: 1, skipped: 1 });
});

test("a runner that wrote nothing, or failed without a failed test, is not complete", () => {
  expect(countTests(undefined)).toEqual({ passed: 0, failed: 0, skipped: 0, isComplete: false });
  expect(countTests(results(false, { status: "passed", tests: ["passed"] }))).toMatchObject({ failed: 0, isComplete: false });
});

test("nx's list of failed tasks is read, and nothing else", () => {
  const output = "- @diffucoder/random\n✔  nx run @diffucoder/cli:lint\n\nFailed tasks:\n\n- @diffucoder/tools:lint\n- @diffucoder/model:test\n\nOutput of 18 successful tasks were not shown.\n";
  expect(failedTasksIn(output)).toEqual(new Set(["@diffucoder/tools:lint", "@diffucoder/model:test"]));
  expect(failedTasksIn("✔  nx run @diffucoder/cli:lint\n")).toEqual(new Set());
});

describe("a run of nx", () => {
  const good = results(true, { status: "passed", tests: ["passed", "passed", "skipped"] });
  const bad = results(false, { status: "failed", tests: ["passed", "failed", "skipped"] });
  const count = (exitCode: number, failed: readonly string[], written: Readonly<Record<string, string>>) => countRun({ exitCode, failedTasks: new Set(failed) }, Object.keys(written).concat("c"), (project) => written[project]);

  test("has lints, type checks and tests, and says what was skipped before the last line", () => {
    const counts = countRun({ exitCode: 0, failedTasks: new Set() }, ["a", "b"], () => good);
    expect(counts).toEqual({ passed: 8, failed: 0, skipped: 2 });
    expect(summaryOf(counts)).toBe("2 skipped\n8 passed, 0 failed");
    expect(summaryOf({ ...counts, skipped: 0 })).toBe("8 passed, 0 failed");
  });

  test("has a failure for each lint, type check and test that failed, and for a runner that left no results", () => {
    expect(count(1, ["a:lint", "b:test"], { a: good, b: bad })).toEqual({ passed: 5 + 3, failed: 3, skipped: 2 }); // c wrote nothing
    expect(count(1, ["a:test"], { a: good, c: good })).toMatchObject({ failed: 1 }); // failed after its tests had passed
    expect(count(1, [], { a: good, c: good })).toMatchObject({ failed: 1 }); // nx itself failed
  });
});

describe("a tier", () => {
  mkdirSync(RESULTS, { recursive: true });
  const folder = mkdtempSync(join(RESULTS, "tier-")); // within the checkout, where vitest is found
  afterAll(() => (rmSync(folder, { recursive: true }), rmSync(`${folder}.json`, { force: true })));
  const runTierOn = (name: string, source: string, ...names: string[]) => {
    writeFileSync(join(folder, name), `import { expect, test } from "vitest";\n${source}`);
    return spawnSync(process.execPath, ["-e", `process.exitCode = (await import(${JSON.stringify(join(import.meta.dirname, "tier.ts"))})).runTier(${JSON.stringify(folder)}, ${JSON.stringify(names)})`], { encoding: "utf8" });
  };

  test("is counted, what was skipped too, and never by the results of an earlier run", () => {
    const first = runTierOn("first.test.ts", `test("passes", () => {});\ntest.skip("skipped", () => {});\n`);
    expect(first).toMatchObject({ status: 0, stdout: expect.stringMatching(/\n1 skipped\n1 passed, 0 failed\n$/) as string });
    const second = runTierOn("second.test.ts", `test("fails", () => expect(1).toBe(2));\n`);
    expect(second).toMatchObject({ status: 1, stdout: expect.stringMatching(/\n1 skipped\n1 passed, 1 failed\n$/) as string });
    expect(runTierOn("second.test.ts", "", "first")).toMatchObject({ status: 0, stdout: expect.stringMatching(/\n1 skipped\n1 passed, 0 failed\n$/) as string });
    // Killed before it can write: the results that lie there say nothing.
    expect(existsSync(`${folder}.json`)).toBe(true);
    const killed = runTierOn("second.test.ts", `process.kill(process.ppid, "SIGKILL");\nawait new Promise(() => {});\n`, "second");
    expect(killed).toMatchObject({ status: 1, stdout: expect.stringMatching(/0 passed, 1 failed\n$/) as string });
  });
});
