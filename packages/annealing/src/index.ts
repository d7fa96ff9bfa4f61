export { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
export { annealingStage } from "./run-annealing.ts";
