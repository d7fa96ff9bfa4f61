import { expect, test } from "vitest";
import { countTests } from "./count-tests.ts";
import { failedTasksIn } from "./nx.ts";

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
