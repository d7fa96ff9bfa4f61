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

export class BenchmarkMissing extends StageError {
  constructor(path: string, found: string) {
    super({ code: "BenchmarkMissing", message: `benchmark ${path}: expected the file that the recipe pins, found ${found}. Correct humaneval.path or .sha256.`, retryable: false, details: { path, found } });
  }
}
