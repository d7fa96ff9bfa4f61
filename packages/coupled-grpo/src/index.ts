export { leaveOneOutAdvantages, mixedGroupShare } from "./advantages.ts";
export { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
export { drawCoupledMasks, type CoupledMasks, type MaskSeed } from "./coupled-masks.ts";
export { NoRewards, NoStartInWindow } from "./errors.ts";
export { policyLoss } from "./policy-loss.ts";
export { coupledGrpoStage } from "./run-coupled-grpo.ts";
