export { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
export { pretrainingStage } from "./run-pretraining.ts";
