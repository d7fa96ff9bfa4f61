export interface TestCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
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
