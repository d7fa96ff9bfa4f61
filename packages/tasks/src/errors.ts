import { StageError } from "@diffucoder/lineage";

/** Tasks, benchmarks or samples are not what was asked for. */
export class TasksError extends StageError {
  constructor(code: TasksErrorCode, message: string) {
    super({ code, message, retryable: false });
  }
}

export type TasksErrorCode =
  | "UnknownFamily"
  | "TasksExhausted"
  | "BenchmarkMissing"
  | "BenchmarkCorrupt"
  | "SamplesMissing"
  | "SamplesCorrupt"
  | "SamplesUnknownTask"
  | "LogCorrupt"
  | "PackagesMissing";
