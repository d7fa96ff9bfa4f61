import type { ArtifactRef, StageOutcome } from "@diffucoder/lineage";
import { initialParameters } from "@diffucoder/model";
import { TemporaryStore, tinyModel, type RunOptions } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { annealingStage } from "../src/index.ts";

export const SEED = 3;
export const RECIPE = { steps: 6, batchSize: 4, canvasLength: 16, optimizer: { learningRate: 0.01, warmupSteps: 2, weightDecay: 0 }, validationBatches: 2 };
/** What the starting checkpoint tells of the stage before. */
export const HISTORY = [{ stage: "pretraining", steps: 1, tokens: 64, validationLossAtStart: 6, validationLossAtEnd: 5, uniformLoss: 5.6 }];

export class Workplace extends TemporaryStore {
  /** A new model, published as pre-training would leave it. */
  newCheckpoint(tokenizer: Tokenizer, store = this.store): Promise<ArtifactRef> {
    const model = tinyModel(tokenizer);
    const meta = { stage: "pretraining", step: 1, history: HISTORY };
    return this.publishModel({ model, tokenizer, parameters: initialParameters(model, SEED), meta, metrics: [{ stage: "pretraining", step: 1, loss: 5 }] }, store);
  }

  run(inputs: Record<string, ArtifactRef>, { recipe, ...options }: RunOptions = {}): Promise<StageOutcome> {
    return this.runStage(annealingStage, inputs, { seed: SEED, ...options, recipe: { ...RECIPE, ...recipe } });
  }
}
