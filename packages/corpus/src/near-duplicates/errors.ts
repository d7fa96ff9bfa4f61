import { StageError } from "@diffucoder/lineage";

/** A thread died again and again over the same unit of work. */
export class WorkerLost extends StageError {
  constructor(unit: string, attempts: number, cause: unknown) {
    super({
      code: "WorkerLost",
      message: `near-duplicates, ${unit}: expected a result, found that its worker died ${attempts} times, last of ${String(cause)}. Give it more memory, or fewer workers.`,
      retryable: true,
      details: { unit, attempts },
      cause,
    });
  }
}
