import { resolve } from "node:path";
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
  constructor(digest: string, what: string, fix = "Run the pipeline again to rebuild it.") {
    super({
      code: "ArtifactMissing",
      message: `artifact ${digest.length === 64 ? digest.slice(0, 12) : digest}: expected ${what} in the store, found none. ${fix}`,
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

/** The first digits of a digest fit several artifacts. */
export class ArtifactAmbiguous extends StageError {
  constructor(prefix: string, matches: readonly string[]) {
    super({
      code: "ArtifactAmbiguous",
      message: `artifact ${prefix}: expected one match, found ${matches.length} (${matches.join(", ")}). Give more digits.`,
      retryable: false,
      details: { prefix, matches: [...matches] },
    });
  }
}

export class RecordCorrupt extends StageError {
  constructor(path: string, cause: SyntaxError) {
    super({
      code: "RecordCorrupt",
      message: `${path}: expected JSON, found ${cause.message}. Restore it from a copy; without it the run that wrote it is forgotten.`,
      retryable: false,
      details: { path },
      cause,
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

/** A folder that a person named is not there and cannot be made. */
export class FolderUnusable extends StageError {
  constructor(path: string, cause: unknown) {
    const { path: where = path } = cause as NodeJS.ErrnoException;
    super({
      code: "FolderUnusable",
      message: `${path}: expected a folder, or a place to make one, found ${describeSystemError(cause)}${where === resolve(path) ? "" : ` at ${where}`}. Name another one.`,
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

/** The first result of a stage key is damaged, and under this numerics profile the stage gives other bytes. */
export class RepairFailed extends StageError {
  constructor(facts: { key: string; role: string; expected: string; found: string; madeUnder: JsonObject; runUnder: JsonObject }) {
    super({
      code: "RepairFailed",
      message:
        `stage key ${facts.key.slice(0, 12)}, output ${facts.role}: expected artifact ${facts.expected.slice(0, 12)} again, found ${facts.found.slice(0, 12)}, ` +
        `since it was made under ${JSON.stringify(facts.madeUnder)} and now under ${JSON.stringify(facts.runUnder)}. ` +
        "Run it on a machine as before, or restore its files from a copy.",
      retryable: false,
      details: facts,
    });
  }
}

/** A person's word cannot bind this result to that key. */
export class AcceptanceRefused extends StageError {
  constructor(key: string, expected: string, found: string) {
    super({
      code: "AcceptanceRefused",
      message: `stage key ${key.slice(0, 12)}: expected ${expected}, found ${found}.`,
      retryable: false,
      details: { key, expected, found },
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

/** What was found where a file or folder could not be used, in words and with the system's code: "none (ENOENT)". */
export function describeSystemError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return message;
  return code in SYSTEM_ERRORS ? `${SYSTEM_ERRORS[code]} (${code})` : code;
}

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  EACCES: "no permission",
  EEXIST: "a file of that name",
  EISDIR: "a folder",
  ENAMETOOLONG: "too long a name",
  ENOENT: "none",
  ENOTDIR: "a file where a folder was expected",
  EPERM: "no permission",
  EROFS: "a read-only file system",
};

/** Runs `write`, turning a full disk into a typed error. */
export async function refuseFullDisk<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    throw isDiskFull(error) ? new DiskFull(path, error) : error;
  }
}

/** Whether the system says that a disk, or what someone may have of it, is full. */
export function isDiskFull(error: unknown): boolean {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
