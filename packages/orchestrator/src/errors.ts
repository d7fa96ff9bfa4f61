import { describeSystemError, DiskFull, isDiskFull, StageError, type JsonObject } from "@diffucoder/lineage";

/** What of a failure crosses process and server boundaries. */
export interface FailureFacts {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly details: JsonObject;
}

/** The facts of any thrown value; a full disk and a file that cannot be used are known wherever they show, and what is not typed counts as retryable. */
export function failureFacts(error: unknown): FailureFacts {
  if (error instanceof StageError) {
    return { code: error.code, message: error.message, retryable: error.retryable, details: error.details };
  }
  const { path, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (isDiskFull(error)) return failureFacts(new DiskFull(path ?? "a file", error));
  if (syscall?.startsWith("spawn")) return untyped("ProgramUnusable", `${path}: expected a program that can be started, found ${describeSystemError(error)}. \`diffucoder doctor\` says what is missing.`);
  if (syscall !== undefined && path !== undefined) return untyped("FileUnusable", `${path}: expected ${USES[syscall] ?? `one for ${syscall}`}, found ${describeSystemError(error)}. Correct the path, or what lies there.`);
  return untyped("Unexpected", error instanceof Error ? error.message : String(error));
}

const untyped = (code: string, message: string): FailureFacts => ({ code, message, retryable: true, details: {} });

/** What each call to the system wants of a path. */
const USES: Readonly<Record<string, string>> = {
  copyfile: "a file that can be copied",
  lstat: "a file or folder",
  mkdir: "a place to make a folder",
  mkdtemp: "a place to make a folder",
  open: "a file that can be opened or made",
  read: "a file",
  scandir: "a folder that can be read",
  stat: "a file or folder",
};

/** A failure that came from another process. */
export class RemoteFailure extends StageError {
  constructor(facts: FailureFacts) {
    super(facts);
  }
}

/** The stage's process ended without a word. */
export class StageCrashed extends StageError {
  constructor(facts: { stage: string; exitCode: number | null; signal: string | null; log: string; lastLines: string }) {
    const end = facts.signal === null ? `exit code ${facts.exitCode}` : `signal ${facts.signal}`;
    super({
      code: "StageCrashed",
      message: `stage ${facts.stage}: expected a result, found that its process ended with ${end}. See ${facts.log}.${facts.lastLines}`,
      retryable: true,
      details: { ...facts },
    });
  }
}

/** The stage's process reported nothing for too long. */
export class StageStalled extends StageError {
  constructor(stage: string, silentMs: number, log: string) {
    super({
      code: "StageStalled",
      message: `stage ${stage}: expected progress at least every ${silentMs} ms, found none. See ${log}.`,
      retryable: true,
      details: { stage, silentMs, log },
    });
  }
}

/** What a stage's process has loaded may not be what its files say now, by which its code would be recorded. */
export class SourcesChanged extends StageError {
  constructor(stage: string) {
    super({
      code: "SourcesChanged",
      message: `stage ${stage}: expected the same source files from its process's start on, found them changed meanwhile. The next attempt runs them as they are then.`,
      retryable: true,
      details: { stage },
    });
  }
}

/** The numerics that a recipe demands would be far too slow here. */
export class NumericsUnsupported extends StageError {
  constructor(demanded: string, found: string) {
    super({
      code: "NumericsUnsupported",
      message: `numerics: expected a machine with fast ${demanded}, found one for ${found}. Set \`numerics: auto\`, or start a worker on another machine.`,
      retryable: false,
      details: { demanded, found },
    });
  }
}

export class TemporalMissing extends StageError {
  constructor() {
    super({
      code: "TemporalMissing",
      message: "temporal: expected the executable in TEMPORAL_CLI_PATH, on PATH or in the cache, found none. Run `npm run setup`.",
      retryable: false,
    });
  }
}

export class PortTaken extends StageError {
  constructor(port: number, variable: string) {
    super({
      code: "PortTaken",
      message: `port ${port} (${variable}): expected it to be free, found another process listening. Stop that process, or set ${variable} to another port or to nothing.`,
      retryable: false,
      details: { port, variable },
    });
  }
}

/** The embedded server or a worker did not come up. */
export class StartFailed extends StageError {
  constructor(what: string, log: string, lastLines: string) {
    super({
      code: "StartFailed",
      message: `${what}: expected it to be ready, found that it ended or stayed silent. See ${log}.${lastLines}`,
      retryable: true,
      details: { what, log },
    });
  }
}

export class ServerUnreachable extends StageError {
  constructor(address: string, cause: unknown) {
    super({
      code: "ServerUnreachable",
      message: `Temporal at ${address}: expected an answer, found none. Start it with \`diffucoder server up\`, or correct TEMPORAL_ADDRESS.`,
      retryable: true,
      details: { address },
      cause,
    });
  }
}

/** Neither a result nor a refusal came back. */
export class NoAnswer extends StageError {
  constructor(runId: string, cause: unknown) {
    super({
      code: "NoAnswer",
      message: `run ${runId}: expected an answer from the server and a worker, found none in time. \`diffucoder worker up\` starts a worker.`,
      retryable: true,
      details: { runId },
      cause,
    });
  }
}

export class RunUnknown extends StageError {
  constructor(runId: string) {
    super({
      code: "RunUnknown",
      message: `run ${runId}: expected a known run, found none of that name. \`diffucoder runs\` lists them.`,
      retryable: false,
      details: { runId },
    });
  }
}

/** The pipeline refused an operator's request. */
export class RequestRefused extends StageError {
  constructor(facts: FailureFacts) {
    super(facts);
  }
}
