import { StageError } from "@diffucoder/lineage";

/** Programs cannot be run safely here. Never a score: nothing was run. */
export class SandboxUnavailable extends StageError {
  constructor(found: string, fix: string) {
    super({ code: "SandboxUnavailable", message: `sandbox: expected bubblewrap with user namespaces and Python 3, found ${found}. ${fix}`, retryable: false, details: { found, fix } });
  }
}

/** The sandbox itself failed on a job, which says nothing about the program. */
export class SandboxFault extends StageError {
  constructor(what: string) {
    super({ code: "SandboxFault", message: `sandbox: expected a verdict, found ${what}. Retry; \`diffucoder doctor\` tells whether the sandbox works at all.`, retryable: true, details: { what } });
  }
}

/** The checks of a job could not judge any program. Never a score either. */
export class ChecksInvalid extends StageError {
  constructor(problem: string) {
    super({ code: "ChecksInvalid", message: `checks: expected Python that calls the program with plain data, found that ${problem}. Correct the task.`, retryable: false, details: { problem } });
  }
}
