import type { ArtifactRef, StageOutcome } from "@diffucoder/lineage";
import { initialParameters } from "@diffucoder/model";
import { TemporaryStore, taskTokenizer, tinyModel, type RunOptions } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { instructionTuningStage } from "../src/index.ts";

export const SEED = 3;
/** Of a task of the family `linear`: 14 tokens of prompt, 29 of answer, one of padding. */
export const CANVAS = 44;
export const RECIPE = {
  tasks: { families: ["linear"], count: 16 },
  steps: 6,
  batchSize: 4,
  canvasLength: CANVAS,
  optimizer: { learningRate: 0.01, warmupSteps: 2, weightDecay: 0 },
  validationBatches: 2,
  keepSteps: [2, 4],
};

export const tinyTokenizer = (): Promise<Tokenizer> => taskTokenizer(SEED);

export class Workplace extends TemporaryStore {
  /** A new model, published as annealing would leave it. */
  newCheckpoint(tokenizer: Tokenizer, store = this.store): Promise<ArtifactRef> {
    const model = tinyModel(tokenizer);
    return this.publishModel({ model, tokenizer, parameters: initialParameters(model, SEED), meta: { stage: "annealing", step: 1 } }, store);
  }

  run(checkpoint: ArtifactRef, { recipe, ...options }: RunOptions = {}): Promise<StageOutcome> {
    return this.runStage(instructionTuningStage, { checkpoint }, { seed: SEED, ...options, recipe: { ...RECIPE, ...recipe } });
  }
}
