export { executionSchema, recipeSchema, type Recipe } from "./config.ts";
export { exportModel, type ExportOptions } from "./export-model.ts";
export { openModelFolder, type ModelFolder } from "./model-folder.ts";
export { huggingFaceStage } from "./run-import.ts";
