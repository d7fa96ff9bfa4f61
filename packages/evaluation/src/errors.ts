import { StageError } from "@diffucoder/lineage";
import type { NoVerdict } from "@diffucoder/tasks";

/** Some answers have no verdict, the sandbox having failed on them twice or their checks judging no program. An unscored answer is not a wrong one, so there is no report. */
export class UnscoredAnswers extends StageError {
  constructor(missing: readonly NoVerdict[], total: number) {
    const causes = [...new Set(missing.map(({ cause }) => cause))].sort();
    const isTasks = missing.some(({ faultOf }) => faultOf === "task");
    super({
      code: "UnscoredAnswers",
      message: `evaluation: expected a verdict for each of ${total} answers, found none for ${missing.length}: ${causes.slice(0, MOST_CAUSES).join("; ")}. ${isTasks ? "Correct the tasks, or leave them out." : "Run \`diffucoder doctor\`, then \`diffucoder retry\`."}`,
      retryable: !isTasks,
      details: { count: missing.length, total, causes },
    });
  }
}

/** That a message names. */
const MOST_CAUSES = 3;

/** A held-out task does not fit the canvas that the recipe asks for. */
export class PromptTooLong extends StageError {
  constructor(task: string, found: number, canvasLength: number) {
    super({
      code: "PromptTooLong",
      message: `task ${task}: expected a prompt of at most ${canvasLength - 1} tokens on a canvas of ${canvasLength}, found ${found}. Raise decoding.canvasLength.`,
      retryable: false,
      details: { task, found, canvasLength },
    });
  }
}

/** The benchmark file is not there, or not the one that the recipe pins. */
export class BenchmarkMissing extends StageError {
  constructor(path: string, found: string) {
    super({ code: "BenchmarkMissing", message: `benchmark ${path}: expected the file that the recipe pins, found ${found}. Correct path or sha256 in benchmarks.`, retryable: false, details: { path, found } });
  }
}

/** A file of an evaluation's artifact is not what an evaluation writes. */
export class EvaluationCorrupt extends StageError {
  constructor(where: string, expected: string, found: string) {
    super({ code: "EvaluationCorrupt", message: `${where}: expected ${expected}, found ${found}. Name the report artifact of an evaluation, or a folder with its report.json and samples.jsonl.`, retryable: false, details: { where, expected, found } });
  }
}
