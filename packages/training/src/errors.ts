import { StageError } from "@diffucoder/lineage";

/** A step's loss or gradient is no number, or larger than the recipe allows, and may not be rolled back; no later step touches the weights. */
export class NonFiniteLoss extends StageError {
  /** @param facts `batch`: that the step trained on, from 1; `rollbacks`: how often the training had gone back before */
  constructor(facts: { stage: string; step: number; batch?: number; loss: number; gradientNorm: number; documents: readonly string[]; rollbacks?: number; largestGradientNorm?: number | undefined }) {
    const { stage, step, batch = step, loss, gradientNorm, documents, rollbacks = 0, largestGradientNorm } = facts;
    const place = `stage ${stage}, step ${step}${batch === step ? "" : ` (batch ${batch})`}`;
    const limit = largestGradientNorm === undefined ? "" : ` of norm at most ${largestGradientNorm}`;
    const before = rollbacks === 0 ? "" : ` after ${rollbacks} roll-backs`;
    super({
      code: "NonFiniteLoss",
      message:
        `${place}: expected a finite loss and gradient${limit}${before}, found loss ${loss}, gradient norm ${gradientNorm}. ` +
        `Lower optimizer.learningRate or clipNorm, then \`diffucoder retry\`; the documents of the step are in the details.`,
      retryable: false,
      details: { stage, step, batch, loss: String(loss), gradientNorm: String(gradientNorm), documents: [...documents], rollbacks },
    });
  }
}

/** A training would need more memory than its process can have. */
export class NotEnoughMemory extends StageError {
  constructor(stage: string, plannedBytes: number, memoryBytes: number) {
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
    super({
      code: "NotEnoughMemory",
      message:
        `stage ${stage}, memory: expected at most ${gigabytes(memoryBytes)}, all that is here, found a plan of ${gigabytes(plannedBytes)}. ` +
        "Raise `microBatches`, or lower `batchSize` or `tasksPerRound`, or start a worker on a machine with more.",
      retryable: false,
      details: { stage, plannedBytes, memoryBytes },
    });
  }
}

/** The data cannot fill one canvas, or does not belong to the model. */
export class UnusableData extends StageError {
  constructor(message: string) {
    super({ code: "UnusableData", message, retryable: false });
  }
}
