export { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
export { conditionShare, instructionBatches, layOutTask, type InstructionSample } from "./instruction-batches.ts";
export { instructionTuningStage } from "./run-instruction-tuning.ts";
