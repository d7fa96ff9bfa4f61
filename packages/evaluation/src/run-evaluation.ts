import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { engineAssets } from "@diffucoder/engine";
import { formatMetrics } from "@diffucoder/formats";
import { StageCancelled, describeSystemError, sha256, type JsonObject, type StageContext, type StageDefinition, type StageProgress, type StageRequest, type StageResult } from "@diffucoder/lineage";
import { createSandbox, sandboxAssets, type Sandbox } from "@diffucoder/sandbox";
import { packagesDigest, readBenchmark, taskAssets, writeEvalPlusFiles } from "@diffucoder/tasks";
import { ask, type AskOptions } from "./ask.ts";
import { loadEvaluated, type EvaluatedCheckpoint } from "./checkpoint-history.ts";
import { executionSchema, recipeSchema, type BenchmarkRecipe, type Execution, type Recipe } from "./config.ts";
import { BenchmarkMissing } from "./errors.ts";
import { FinishedSamples } from "./finished-samples.ts";
import { planEvaluation } from "./plan-evaluation.ts";
import { benchmarkQuestions, heldOutQuestions, type QuestionSet } from "./question.ts";
import { renderReportPage } from "./report-page.ts";
import type { EvaluationReport } from "./report.ts";
import type { SampleLine } from "./sample-line.ts";
import { pairedDifference, scoreBenchmark } from "./score-checkpoint.ts";

/** Scores a checkpoint, and the one it began with when given, on tasks that no stage has trained or selected on. */
export const evaluationStage: StageDefinition<Recipe, Execution> = {
  name: "evaluation",
  packageName: "@diffucoder/evaluation",
  entry: import.meta.filename,
  assets: [...engineAssets, ...sandboxAssets, ...taskAssets],
  resource: "train",
  inputs: { candidate: { kind: "checkpoint" }, baseline: { kind: "checkpoint", optional: true } },
  outputs: { report: "report" },
  recipeSchema,
  executionSchema,
  plan: planEvaluation,
  sources: async ({ benchmarks, packages }, baseDirectory) => {
    for (const benchmark of benchmarks) await checkBenchmark(benchmark, baseDirectory);
    const files = benchmarks.map(({ path, sha256: digest }) => [path, digest] as const);
    return Object.fromEntries(packages === undefined ? files : [...files, [packages, await packagesDigest(resolve(baseDirectory, packages))]]);
  },
  run: runEvaluation,
};

/** A checkpoint with its answers, set by set. */
interface Answered {
  readonly role: SampleLine["checkpoint"];
  readonly evaluated: EvaluatedCheckpoint;
  readonly lines: readonly (readonly SampleLine[])[];
}

async function runEvaluation({ recipe, execution, inputs, seed, baseDirectory }: StageRequest<Recipe, Execution>, context: StageContext): Promise<StageResult> {
  for (const benchmark of recipe.benchmarks) await checkBenchmark(benchmark, baseDirectory);
  const roles = (["baseline", "candidate"] as const).filter((role) => inputs[role] !== undefined);
  const finished = await FinishedSamples.open(context);
  const sandbox = await createSandbox({ workers: execution.sandboxWorkers, packages: recipe.packages === undefined ? undefined : resolve(baseDirectory, recipe.packages) });
  const answered: Answered[] = [];
  let sets: readonly QuestionSet[];
  try {
    sets = [heldOutQuestions(recipe, seed, sandbox), ...(await openBenchmarks(recipe, baseDirectory, sandbox))];
    for (const [step, role] of roles.entries()) {
      const evaluated = await loadEvaluated(context.artifacts, inputs[role]!);
      const progress = progressOf(context, { step, totalSteps: roles.length, unit: "checkpoints", note: role });
      const lines: SampleLine[][] = [];
      for (const set of sets) lines.push(await ask(evaluated, set, { role, seed, dtype: context.numerics.dtype, finished, saveEverySeconds: execution.checkpointEverySeconds, ...progress }));
      answered.push({ role, evaluated, lines });
    }
  } catch (error) {
    await finished.save();
    throw error;
  } finally {
    await sandbox.close();
  }
  const report = reportOf(recipe, seed, sets, answered);
  const directory = join(context.scratchDir, "report");
  await writeReport(directory, report, sets, answered);
  const summary = JSON.parse(JSON.stringify(report)) as JsonObject;
  return { outputs: { report: { kind: "report", directory, meta: { checkpoints: answered.map(({ evaluated }) => evaluated.ref.digest) } } }, summary };
}

async function openBenchmarks({ benchmarks }: Recipe, baseDirectory: string, sandbox: Sandbox): Promise<QuestionSet[]> {
  const sets: QuestionSet[] = [];
  for (const benchmark of benchmarks) sets.push(await benchmarkQuestions(benchmark, await readBenchmark(benchmark.name, resolve(baseDirectory, benchmark.path)), sandbox));
  return sets;
}

async function checkBenchmark({ path, sha256: expected }: BenchmarkRecipe, baseDirectory: string): Promise<void> {
  const content = await readFile(resolve(baseDirectory, path)).catch((error: unknown) => {
    throw new BenchmarkMissing(path, describeSystemError(error));
  });
  const found = sha256(content);
  if (found !== expected) throw new BenchmarkMissing(path, `sha256 ${found}`);
}

/** Reports each phase, and within a long one that it still goes on. */
function progressOf(context: StageContext, progress: StageProgress & { readonly note: string }): Pick<AskOptions, "onPhase" | "onStep"> {
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

function reportOf(recipe: Recipe, seed: number, sets: readonly QuestionSet[], answered: readonly Answered[]): EvaluationReport {
  const [candidate, baseline] = answered.toReversed();
  return {
    seed,
    benchmarks: sets.map(({ name, questions, skipped, decoding, benchmark }) => ({ name, tasks: questions.length, skipped, decoding, ...(benchmark === undefined ? {} : { sha256: benchmark.sha256 }) })),
    checkpoints: answered.map(({ role, evaluated: { stage, step, ref }, lines }) => ({
      role,
      stage,
      step,
      digest: ref.digest,
      benchmarks: sets.map((set, i) => scoreBenchmark(set, lines[i]!, recipe, seed)),
    })),
    differences:
      baseline === undefined
        ? []
        : sets.flatMap((set, i) =>
            set.questions.length === 0
              ? []
              : set.samplings.map(({ temperature }) => ({ benchmark: set.name, temperature, ...pairedDifference(set, temperature, candidate!.lines[i]!, baseline.lines[i]!, seed) })),
          ),
    training: candidate!.evaluated.history,
  };
}

async function writeReport(directory: string, report: EvaluationReport, sets: readonly QuestionSet[], answered: readonly Answered[]): Promise<void> {
  await mkdir(directory);
  await writeFile(join(directory, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(directory, "report.html"), renderReportPage(report));
  const samples = answered.flatMap(({ lines }) => lines.flat());
  await writeFile(join(directory, "samples.jsonl"), samples.map((sample) => `${JSON.stringify(sample)}\n`).join(""));
  await writeFile(join(directory, "metrics.jsonl"), formatMetrics(answered.at(-1)!.evaluated.metrics));
  await writeForEvalPlus(join(directory, "evalplus"), sets, answered);
}

/** A pair of files for each checkpoint, temperature and benchmark that evalplus knows. */
async function writeForEvalPlus(directory: string, sets: readonly QuestionSet[], answered: readonly Answered[]): Promise<void> {
  for (const [i, { name, benchmark, samplings }] of sets.entries()) {
    if (benchmark === undefined || name.startsWith("bigcodebench")) continue;
    await mkdir(directory, { recursive: true });
    for (const { role, lines } of answered) {
      for (const { temperature } of samplings) {
        const programs = lines[i]!
          .filter((line) => line.temperature === temperature)
          .map(({ task_id: taskId, solution, status, cause, suites = { base: { status, cause } } }) => ({ taskId, program: solution ?? "", suites }));
        await writeEvalPlusFiles(directory, `${name}-${role}-t${temperature}`, { benchmark, programs, date: NO_DATE });
      }
    }
  }
}

/** Equal inputs give equal bytes, whenever they are run. */
const NO_DATE = "1970-01-01 00:00";
