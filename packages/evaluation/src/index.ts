export { bootstrapInterval } from "./bootstrap-interval.ts";
export { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
export { renderReportPage } from "./report-page.ts";
export type { CheckpointScores, Estimate, EvaluationReport } from "./report.ts";
export { evaluationStage } from "./run-evaluation.ts";
