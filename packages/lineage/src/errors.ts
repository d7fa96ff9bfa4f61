import type { JsonObject } from "./json.ts";

export interface StageErrorFacts {
  /** Stable name to match on. */
  readonly code: string;
  /** "subject: expected X, found Y", then the next step when there is one. */
  readonly message: string;
  /** Whether the same attempt could succeed later without a change of recipe or code. */
  readonly retryable: boolean;
  readonly details?: JsonObject;
  readonly cause?: unknown;
}

/** What every typed failure of the pipeline extends: code, facts, and whether a retry could help. */
export class StageError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly details: JsonObject;

  constructor({ code, message, retryable, details = {}, cause }: StageErrorFacts) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = code;
    this.code = code;
    this.retryable = retryable;
    this.details = details;
  }
}

/** The stage was told to stop; its newest checkpoint is saved. */
export class StageCancelled extends StageError {
  constructor(stage: string, step?: number) {
    const where = step === undefined ? "" : ` after step ${step}`;
    super({ code: "StageCancelled", message: `stage ${stage}: stopped on request${where}`, retryable: true, details: { stage } });
  }
}

export class ArtifactMissing extends StageError {
  constructor(digest: string, what: string) {
    super({
      code: "ArtifactMissing",
      message: `artifact ${digest.slice(0, 12)}: expected ${what} in the store, found none. Run the pipeline again to rebuild it.`,
      retryable: false,
      details: { digest, what },
    });
  }
}

export class ArtifactCorrupt extends StageError {
  constructor(facts: { digest: string; path: string; expected: string; found: string; location: string }) {
    super({
      code: "ArtifactCorrupt",
      message:
        `artifact ${facts.digest.slice(0, 12)}, file ${facts.path}: expected ${facts.expected}, found ${facts.found} ` +
        `(${facts.location}). Delete that file and run the pipeline again.`,
      retryable: false,
      details: { ...facts },
    });
  }
}

export class DiskFull extends StageError {
  constructor(path: string, cause: unknown) {
    super({
      code: "DiskFull",
      message: `${path}: expected room to write, found a full disk. Free some space, then \`diffucoder retry\`.`,
      retryable: false,
      details: { path },
      cause,
    });
  }
}

/** Another attempt holds the stage now; this one may no longer publish. */
export class LeaseLost extends StageError {
  constructor(key: string, held: number, current: number) {
    super({
      code: "LeaseLost",
      message: `stage key ${key.slice(0, 12)}: expected fencing number ${held} to be current, found ${current}. A newer attempt has taken over.`,
      retryable: false,
      details: { key, held, current },
    });
  }
}

/** Two complete runs of one stage key in one numerics profile gave different bytes. */
export class NondeterminismError extends StageError {
  constructor(key: string, role: string, first: string, second: string) {
    super({
      code: "Nondeterminism",
      message:
        `stage key ${key.slice(0, 12)}, output ${role}: expected artifact ${first.slice(0, 12)} as before, found ${second.slice(0, 12)}. ` +
        "The first one stays; compare their manifests to find the cause.",
      retryable: false,
      details: { key, role, first, second },
    });
  }
}

export class InvalidRecipe extends StageError {
  constructor(subject: string, problems: readonly string[]) {
    super({
      code: "InvalidRecipe",
      message: `${subject}: ${problems.join("; ")}`,
      retryable: false,
      details: { subject, problems: [...problems] },
    });
  }
}

/** Runs `write`, turning a full disk into a typed error. */
export async function refuseFullDisk<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOSPC" || code === "EDQUOT") throw new DiskFull(path, error);
    throw error;
  }
}
