export type { BatchSource, DiffusionBatch } from "./batch-source.ts";
export {
  optimizerSchema,
  packedRecipe,
  trainingExecution,
  trainingRecipe,
  type OptimizerRecipe,
  type PackedRecipe,
  type TrainingExecution,
  type TrainingRecipe,
} from "./config.ts";
export { NonFiniteLoss, NotEnoughMemory, UnusableData } from "./errors.ts";
export { learningRateAt, type LearningRateSchedule } from "./learning-rate.ts";
export { LEDGER_FILE, formatLedger, ledgerEntry, parseLedger, type LedgerEntry } from "./ledger.ts";
export { loadStart, type StartingModel } from "./load-start.ts";
export { drawNoiseLevels, fixedNoiseLevels } from "./noise-levels.ts";
export { checkTokenizer, openTrainingShards, type TrainingShards } from "./open-shards.ts";
export { planFurtherTraining, planTraining, plannedModel, refuseWithoutMemory } from "./plan.ts";
export { sampleOrder, type SampleOrderKey } from "./sample-order.ts";
export { causalBatches, readPackedSample, shardBatches, type PackedSample } from "./shard-batches.ts";
export { trainDiffusion, type DiffusionTraining } from "./train-diffusion.ts";
export { candidatePath } from "./training-state.ts";
export type { TrainingSummary } from "./training-summary.ts";
