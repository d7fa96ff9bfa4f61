export { analyzeEvaluations, type Analysis, type OrderAnalysis, type SeriesAnalysis } from "./analysis/analyze.ts";
export { drawAnalysis } from "./analysis/draw-analysis.ts";
export type { EvaluationSource } from "./analysis/read-evaluation.ts";
export { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
export { renderReportPage } from "./report-page.ts";
export type { BenchmarkFacts, BenchmarkScores, CheckpointScores, Estimate, EvaluationReport, TemperatureScores } from "./report.ts";
export { evaluationStage } from "./run-evaluation.ts";
export type { SampleLine } from "./sample-line.ts";
