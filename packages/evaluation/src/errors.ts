import { StageError } from "@diffucoder/lineage";

/** The sandbox failed on some answers twice. An unscored answer is not a wrong one, so there is no report. */
export class UnscoredAnswers extends StageError {
  constructor(count: number, total: number) {
    super({
      code: "UnscoredAnswers",
      message: `evaluation: expected a verdict for each of ${total} answers, found sandbox faults for ${count}. Run \`diffucoder doctor\`, then \`diffucoder retry\`.`,
      retryable: true,
      details: { count, total },
    });
  }
}

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
