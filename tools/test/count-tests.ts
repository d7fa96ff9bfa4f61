import { readFileSync } from "node:fs";
import type { NxRun } from "./nx.ts";

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What one runner found. */
export interface TestCount extends TestCounts {
  /** Whether the runner wrote its results, and every file of tests could be loaded. */
  readonly isComplete: boolean;
}

interface VitestResults {
  readonly success: boolean;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly { readonly status: string }[] }[];
}

/** Counts the tests in what vitest's JSON reporter wrote. A file that failed to load counts as one failed test. */
export function countTests(results: string | undefined): TestCount {
  if (results === undefined) return { passed: 0, failed: 0, skipped: 0, isComplete: false };
  const { success, testResults } = JSON.parse(results) as VitestResults;
  const statuses = testResults.flatMap(({ status, assertionResults }) => {
    const own = assertionResults.map((test) => test.status);
    return status === "failed" && !own.includes("failed") ? [...own, "failed"] : own;
  });
  const count = (wanted: (status: string) => boolean): number => statuses.filter(wanted).length;
  const failed = count((status) => status === "failed");
  const passed = count((status) => status === "passed");
  return { passed, failed, skipped: statuses.length - passed - failed, isComplete: success || failed > 0 };
}

/** What a runner wrote to a file; undefined when it wrote nothing. */
export function readResults(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * Counts a run of nx: a lint or a type check of a project is one, of its tests each one is.
 *
 * @param resultsOf what the runner of a project's tests wrote, if it did
 */
export function countRun({ exitCode, failedTasks }: Pick<NxRun, "exitCode" | "failedTasks">, projects: readonly string[], resultsOf: (project: string) => string | undefined): TestCounts {
  const checks = projects.flatMap((project) => ["lint", "typecheck"].map((target) => (failedTasks.has(`${project}:${target}`) ? 1 : 0)));
  const tests = projects.map((project) => withFailedRunner(countTests(resultsOf(project)), failedTasks.has(`${project}:test`)));
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  const failed = sum(checks) + sum(tests.map((count) => count.failed));
  return {
    passed: checks.length - sum(checks) + sum(tests.map((count) => count.passed)),
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: sum(tests.map((count) => count.skipped)),
  };
}

/** A runner that failed without a failed test, or left no results, is a failure of its own. */
export function withFailedRunner({ isComplete, ...counts }: TestCount, hasFailed: boolean): TestCounts {
  return counts.failed === 0 && (hasFailed || !isComplete) ? { ...counts, failed: 1 } : counts;
}

/** What a test command prints last. */
export function summaryOf({ passed, failed, skipped }: TestCounts): string {
  return `${skipped > 0 ? `${skipped} skipped\n` : ""}${passed} passed, ${failed} failed`;
}
