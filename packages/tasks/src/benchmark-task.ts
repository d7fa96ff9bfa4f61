import type { SandboxLimits } from "@diffucoder/sandbox";

/** `complete` shows a function to finish, `instruct` says in words what is wanted. */
export type PromptStyle = "complete" | "instruct";

/** A task of a benchmark, with the tests that decide it. */
export interface BenchmarkTask {
  /** As the benchmark names it, such as `HumanEval/0`. */
  readonly id: string;
  readonly entryPoint: string;
  /** Whether models are scored on it. MBPP sets tasks aside for prompts, validation and training. */
  readonly isHeldOut: boolean;
  /** What the model is shown, in each style that the benchmark has. */
  readonly prompts: Readonly<Partial<Record<PromptStyle, string>>>;
  /** A whole program that passes. */
  readonly solution: string;
  /** Comes before a completion to make a whole program. */
  readonly completionPrefix: string;
  /** Comes before every program when it is run. */
  readonly programPrefix: string;
  /** Modules that program or tests import. */
  readonly libraries: readonly string[];
  /** A program passes the task when it passes every suite. */
  readonly suites: readonly TestSuite[];
}

/** Tests that are run together. */
export type TestSuite = {
  readonly name: "tests" | "base" | "plus";
  readonly limits: Partial<SandboxLimits>;
} & (
  | {
      /** The tests stay out of the program's process and exchange plain data with it. */
      readonly isolation: "referee";
      /** Python, each run on its own; entry points are called by name, or through `__candidate__(name)`. */
      readonly checks: readonly string[];
      readonly entryPoints: readonly string[];
    }
  | {
      /** Tests that exchange objects have to run in the program's own process, where one that is written for it can cheat: no rewards from these. */
      readonly isolation: "in-process";
      /** Python with a `unittest` class `TestCases`, which is run behind the program. */
      readonly test: string;
      /** The function whose answers are looked at. */
      readonly entryPoint: string;
    }
);
