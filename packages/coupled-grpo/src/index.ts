export { advantagesOf, mixedGroupShare } from "./advantages.ts";
export { executionSchema, recipeSchema, type Estimator, type Execution, type Objective, type Recipe } from "./config.ts";
export { NoRewards, NoStartInWindow } from "./errors.ts";
export { drawPasses, estimateShape, type EstimateShape, type MaskSeed, type Pass } from "./estimate.ts";
export { policyLoss } from "./policy-loss.ts";
export { PRESETS, type PresetName } from "./presets.ts";
export { coupledGrpoStage } from "./run-coupled-grpo.ts";
