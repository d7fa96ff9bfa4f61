import { StageError } from "@diffucoder/lineage";

/** A step's loss or gradient is no number; the weights are not touched by a later step. */
export class NonFiniteLoss extends StageError {
  constructor(facts: { stage: string; step: number; loss: number; gradientNorm: number; documents: readonly string[] }) {
    super({
      code: "NonFiniteLoss",
      message:
        `stage ${facts.stage}, step ${facts.step}: expected a finite loss and gradient, found loss ${facts.loss}, gradient norm ${facts.gradientNorm}. ` +
        "Lower optimizer.learningRate or clipNorm, then `diffucoder retry`; the documents of the step are in the details.",
      retryable: false,
      details: { stage: facts.stage, step: facts.step, loss: String(facts.loss), gradientNorm: String(facts.gradientNorm), documents: [...facts.documents] },
    });
  }
}

/** The data cannot fill one canvas, or does not belong to the model. */
export class UnusableData extends StageError {
  constructor(message: string) {
    super({ code: "UnusableData", message, retryable: false });
  }
}
