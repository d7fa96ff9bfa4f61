export interface SandboxLimits {
  /** From the start of a job to its verdict. */
  readonly wallMs: number;
  /** Of each process of the program. Whole seconds. */
  readonly cpuSeconds: number;
  /** Address space of each process, and resident memory of all together. */
  readonly memoryBytes: number;
  /** Threads count as well. */
  readonly processes: number;
  /** Standard output and error together. */
  readonly outputBytes: number;
}

export interface SandboxJob {
  /** Python source of the program. It never sees the checks. */
  readonly candidate: string;
  /**
   * Python sources, each run in a namespace of its own; one that ends without an exception has passed. If it defines
   * `unittest.TestCase` classes, they are run too.
   */
  readonly checks: readonly string[];
  /** Functions and classes of the program that checks use by name; `__candidate__(name)` gives any other. */
  readonly entryPoints: readonly string[];
  /** Those whose objects checks make and then call methods of, with arguments. */
  readonly classes?: readonly string[];
  readonly limits?: Partial<SandboxLimits>;
}

/** What became of a program. */
export interface Verdict {
  readonly status: "passed" | "failed" | "error" | "timeout" | "memory" | "output-limit" | "crashed" | "syntax";
  /** In words, from the first check that did not pass. */
  readonly cause: string;
  readonly passedChecks: number;
  readonly totalChecks: number;
  readonly wallMs: number;
  /** Processor time of the program and its children. */
  readonly cpuMs: number;
}

export const DEFAULT_LIMITS: SandboxLimits = {
  wallMs: 5_000,
  cpuSeconds: 5,
  memoryBytes: 512 << 20,
  processes: 16,
  outputBytes: 1 << 20,
};
