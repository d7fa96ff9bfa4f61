import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { engineAssets } from "@diffucoder/engine";
import { formatMetrics } from "@diffucoder/formats";
import { StageCancelled, sha256, type JsonObject, type StageContext, type StageDefinition, type StageProgress, type StageRequest, type StageResult } from "@diffucoder/lineage";
import { createSandbox, sandboxAssets } from "@diffucoder/sandbox";
import { generateTasks, readHumanEval, type CompletionTask } from "@diffucoder/tasks";
import { bootstrapInterval } from "./bootstrap-interval.ts";
import { loadEvaluated, type EvaluatedCheckpoint } from "./checkpoint-history.ts";
import { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
import { BenchmarkMissing } from "./errors.ts";
import { planEvaluation } from "./plan-evaluation.ts";
import { renderReportPage } from "./report-page.ts";
import type { CheckpointScores, Estimate, EvaluationReport } from "./report.ts";
import { scoreCheckpoint, type SampleLine, type ScoringOptions } from "./score-checkpoint.ts";

/** Scores a checkpoint, and the one it began with when given, on tasks that no stage has trained or selected on. */
export const evaluationStage: StageDefinition<Recipe, Execution> = {
  name: "evaluation",
  packageName: "@diffucoder/evaluation",
  entry: import.meta.filename,
  assets: [...engineAssets, ...sandboxAssets],
  resource: "train",
  inputs: { candidate: { kind: "checkpoint" }, baseline: { kind: "checkpoint", optional: true } },
  outputs: { report: "report" },
  recipeSchema,
  executionSchema,
  plan: planEvaluation,
  sources: async ({ humaneval }, baseDirectory) => {
    if (humaneval === undefined) return {};
    await checkBenchmark(humaneval, baseDirectory);
    return { [humaneval.path]: humaneval.sha256 };
  },
  run: runEvaluation,
};

async function runEvaluation({ recipe, execution, inputs, seed, baseDirectory }: StageRequest<Recipe, Execution>, context: StageContext): Promise<StageResult> {
  const tasks = generateTasks({ ...recipe.tasks, split: "heldout", seed });
  const humaneval = await loadHumanEval(recipe, baseDirectory);
  const checkpoints: { role: CheckpointScores["role"]; evaluated: EvaluatedCheckpoint }[] = [];
  if (inputs.baseline !== undefined) checkpoints.push({ role: "baseline", evaluated: await loadEvaluated(context.artifacts, inputs.baseline) });
  const candidate = await loadEvaluated(context.artifacts, inputs.candidate!);
  checkpoints.push({ role: "candidate", evaluated: candidate });

  const sandbox = await createSandbox({ workers: execution.sandboxWorkers });
  const results: Awaited<ReturnType<typeof scoreCheckpoint>>[] = [];
  try {
    for (const [step, { role, evaluated }] of checkpoints.entries()) {
      const progress = progressOf(context, { step, totalSteps: checkpoints.length, unit: "checkpoints", note: role });
      results.push(await scoreCheckpoint(evaluated, { role, tasks, humaneval, recipe, seed, dtype: context.numerics.dtype, sandbox, ...progress }));
    }
  } finally {
    await sandbox.close();
  }
  const report: EvaluationReport = {
    seed,
    tasks: recipe.tasks,
    samples: recipe.samples,
    checkpoints: results.map(({ scores }) => scores),
    ...(results.length === 2 ? { difference: pairedDifference(results[1]!.sampledRates, results[0]!.sampledRates, seed) } : {}),
    training: candidate.history,
  };
  const directory = join(context.scratchDir, "report");
  await writeReport(directory, report, results.flatMap(({ samples }) => samples), candidate);
  const summary = JSON.parse(JSON.stringify(report)) as JsonObject;
  return { outputs: { report: { kind: "report", directory, meta: { checkpoints: checkpoints.map(({ evaluated }) => evaluated.ref.digest) } } }, summary };
}

/** Reports each phase, and within a long one that it still goes on. */
function progressOf(context: StageContext, progress: StageProgress & { readonly note: string }): Pick<ScoringOptions, "onPhase" | "onStep"> {
  let newest = progress;
  let reportedAt = 0;
  const report = () => {
    reportedAt = context.now();
    context.report(newest);
  };
  return {
    onPhase: async (note) => {
      await setImmediate(); // lets signals through
      if (context.signal.aborted) throw new StageCancelled("evaluation");
      newest = { ...progress, note: `${progress.note}: ${note}` };
      report();
    },
    onStep: () => {
      if (context.now() - reportedAt >= REPORT_EVERY_MS) report();
    },
  };
}

const REPORT_EVERY_MS = 2000;

async function loadHumanEval({ humaneval }: Recipe, baseDirectory: string): Promise<CompletionTask[]> {
  if (humaneval === undefined) return [];
  await checkBenchmark(humaneval, baseDirectory);
  return (await readHumanEval(resolve(baseDirectory, humaneval.path))).slice(0, humaneval.tasks);
}

async function checkBenchmark({ path, sha256: expected }: NonNullable<Recipe["humaneval"]>, baseDirectory: string): Promise<void> {
  const content = await readFile(resolve(baseDirectory, path)).catch((error: NodeJS.ErrnoException) => {
    throw new BenchmarkMissing(path, String(error.code));
  });
  const found = sha256(content);
  if (found !== expected) throw new BenchmarkMissing(path, `sha256 ${found}`);
}

/** Both checkpoints answer the same tasks, so the difference is taken task by task. */
function pairedDifference(candidate: readonly number[], baseline: readonly number[], seed: number): Estimate {
  const differences = candidate.map((rate, task) => rate - baseline[task]!);
  return { mean: differences.reduce((sum, value) => sum + value, 0) / differences.length, interval: bootstrapInterval(differences, seed) };
}

async function writeReport(directory: string, report: EvaluationReport, samples: readonly SampleLine[], candidate: EvaluatedCheckpoint): Promise<void> {
  await mkdir(directory);
  await writeFile(join(directory, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(directory, "report.html"), renderReportPage(report));
  await writeFile(join(directory, "samples.jsonl"), samples.map((sample) => `${JSON.stringify(sample)}\n`).join(""));
  await writeFile(join(directory, "metrics.jsonl"), formatMetrics(candidate.checkpoint.metrics));
}
