import type { ArtifactRef, StageOutcome } from "@diffucoder/lineage";
import { TemporaryStore, type RunOptions } from "@diffucoder/test-kit";
import { pretrainingStage } from "../src/index.ts";

export const SEED = 3;
export const ARCHITECTURE = { hiddenSize: 16, intermediateSize: 32, layers: 1, heads: 2, kvHeads: 1, initializerRange: 0.1 };
export const RECIPE = {
  architecture: ARCHITECTURE,
  steps: 6,
  batchSize: 4,
  canvasLength: 16,
  optimizer: { learningRate: 0.01, warmupSteps: 2, weightDecay: 0 },
  validationBatches: 2,
};

export class Workplace extends TemporaryStore {
  run(inputs: Record<string, ArtifactRef>, { recipe, ...options }: RunOptions = {}): Promise<StageOutcome> {
    return this.runStage(pretrainingStage, inputs, { seed: SEED, ...options, recipe: { ...RECIPE, ...recipe } });
  }
}
