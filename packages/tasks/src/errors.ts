import { StageError } from "@diffucoder/lineage";

/** A family of tasks cannot give what was asked for. */
export class TasksError extends StageError {
  constructor(code: "UnknownFamily" | "TasksExhausted" | "BenchmarkCorrupt", message: string) {
    super({ code, message, retryable: false });
  }
}
