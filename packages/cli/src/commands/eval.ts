import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { basename, join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { makeFolder } from "@diffucoder/lineage";
import { BENCHMARKS, VerdictLog, harnessDigest, readBenchmark, readSamples, scoreSamples, writeEvalPlusFiles, type Benchmark, type BenchmarkName, type PassAtK, type Sample, type ScoredSamples } from "@diffucoder/tasks";
import { EXIT } from "../exit-codes.ts";
import { positive, seed } from "../options.ts";
import { outputOption, print, say, table, type OutputFormat } from "../output.ts";
import { UsageError } from "../project.ts";
import { formatShare } from "../quantities.ts";

interface Options {
  readonly samples?: string;
  readonly canonical?: boolean;
  readonly benchmark: BenchmarkName;
  readonly data?: string;
  readonly k?: readonly number[];
  readonly extract?: boolean;
  readonly out?: string;
  readonly workers: number;
  readonly packages?: string;
  readonly seed: number;
  readonly output: OutputFormat;
}

export function evalCommand(): Command {
  return new Command("eval")
    .description("score anyone's samples on a benchmark, in the sandbox")
    .option("--samples <file>", "samples.jsonl of human-eval or evalplus: task_id with solution or completion")
    .option("--canonical", "score the benchmark's own solutions instead: what does not pass here is no fault of a model")
    .addOption(new Option("--benchmark <name>", "what the samples answer").choices(BENCHMARKS).makeOptionMandatory())
    .option("--data <path>", "the benchmark's file, or a folder that holds it; DIFFUCODER_DATA unless given")
    .option("--k <list>", "k of pass@k; 1,10,100 unless given", kList)
    .option("--extract", "take programs out of Markdown fences, closed or not")
    .option("--out <folder>", "keep verdicts, so that finished samples are never run again, and files for evalplus")
    .option("--workers <n>", "programs that run at once", positive, cpus().length)
    .option("--packages <folder>", "Python packages that programs may import, as pip install --target makes it: what BigCodeBench needs")
    .option("--seed <n>", "of the bootstrap intervals", seed, 1)
    .addOption(outputOption())
    .action(async (options: Options) => {
      const { benchmark, scored } = await evaluate(options);
      const report = reportOf(benchmark, scored);
      if (options.out !== undefined) await writeFile(join(options.out, "results.json"), `${JSON.stringify(report, null, 2)}\n`);
      print(options.output, report, renderReport);
      warn(report);
      if (report.counts.unscored > 0) process.exitCode = EXIT.failed;
    });
}

async function evaluate(options: Options): Promise<{ benchmark: Benchmark; scored: ScoredSamples }> {
  if ((options.samples === undefined) === (options.canonical !== true)) throw new UsageError("eval: expected either --samples FILE or --canonical");
  const data = options.data ?? process.env.DIFFUCODER_DATA;
  if (data === undefined) throw new UsageError(`eval: expected the file of ${options.benchmark}, found none. Give --data PATH, or set DIFFUCODER_DATA to a folder that holds benchmarks.`);
  const given = options.samples === undefined ? undefined : await readSamples(options.samples);
  const benchmark = await readBenchmark(options.benchmark, data, [...new Set(given?.map(({ taskId }) => taskId))]);
  const samples = given ?? benchmark.tasks.map(({ id, solution }): Sample => ({ taskId: id, form: "solution", text: solution, where: id }));
  if (options.out !== undefined) makeFolder(options.out);
  const log = options.out === undefined ? undefined : await VerdictLog.open(join(options.out, "verdicts.jsonl"), await harnessDigest(options.packages));
  if (log !== undefined && log.outdated > 0) say(`${log.outdated} verdicts in ${options.out} are of another version of the harness, of Python or its packages: not used`);
  const { createSandbox } = await import("@diffucoder/sandbox");
  const sandbox = await createSandbox({ workers: options.workers, packages: options.packages });
  try {
    const { k: ks = [1, 10, 100], seed: bootstrapSeed, workers: parallel, extract = false } = options;
    const scored = await scoreSamples({ sandbox, benchmark, samples, ks, seed: bootstrapSeed, parallel, extract, onProgress: progressLine(), ...(log === undefined ? {} : { log }) });
    if (options.out !== undefined) await writeForEvalPlus(options.out, options.samples ?? "canonical.jsonl", benchmark, scored);
    return { benchmark, scored };
  } finally {
    await sandbox.close();
  }
}

/** Says how far it is, at most every five seconds. */
function progressLine(): (done: number, total: number) => void {
  let saidAt = Date.now();
  return (done, total) => {
    if (Date.now() - saidAt < 5000) return;
    saidAt = Date.now();
    say(`${done} of ${total} programs`);
  };
}

async function writeForEvalPlus(folder: string, samplesPath: string, benchmark: Benchmark, { results }: ScoredSamples): Promise<void> {
  if (benchmark.name.startsWith("bigcodebench")) return;
  const programs = results.map(({ task, program, judgement }) => ({ taskId: task.id, program, suites: judgement.status === null ? {} : judgement.suites }));
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  await writeEvalPlusFiles(folder, basename(samplesPath).replace(/\.json(l)?(\.gz)?$/, ""), { benchmark, programs, date });
}

type Report = ReturnType<typeof reportOf>;

function reportOf({ name, path, sha256 }: Benchmark, { results, passAtK, basePassAtK, counts }: ScoredSamples) {
  const verdicts: Record<string, number> = {};
  for (const { judgement } of results) verdicts[judgement.status ?? "none"] = (verdicts[judgement.status ?? "none"] ?? 0) + 1;
  return {
    benchmark: { name, path, sha256 },
    results: results.map(({ sample, judgement }) => ({
      task_id: sample.taskId,
      verdict: judgement.status,
      cause: judgement.cause,
      ...(judgement.status !== null && Object.keys(judgement.suites).length > 1 ? { suites: judgement.suites } : {}),
    })),
    pass_at_k: meansOf(passAtK),
    intervals: Object.fromEntries(passAtK.map(({ k, interval }) => [`pass@${k}`, interval])),
    ...(basePassAtK === undefined ? {} : { base_pass_at_k: meansOf(basePassAtK) }),
    verdicts,
    counts,
    skipped: skippedTasks(results),
  };
}

function meansOf(estimates: readonly PassAtK[]): Record<string, number> {
  return Object.fromEntries(estimates.map(({ k, mean }) => [`pass@${k}`, mean]));
}

function skippedTasks(results: ScoredSamples["results"]): { task_id: string; missing: readonly string[] }[] {
  const skipped = new Map(results.filter(({ missing }) => missing.length > 0).map(({ task, missing }) => [task.id, missing]));
  return [...skipped].map(([task_id, missing]) => ({ task_id, missing }));
}

function renderReport({ benchmark, pass_at_k, base_pass_at_k, intervals, verdicts, counts }: Report): string {
  const rows = Object.entries(pass_at_k).map(([name, mean]) => {
    const [lower, upper] = intervals[name]!;
    return [name, formatShare(mean), `${formatShare(lower)} to ${formatShare(upper)}`, base_pass_at_k === undefined ? "" : formatShare(base_pass_at_k[name]!)];
  });
  const heads = [benchmark.name, "", "95 % over tasks", base_pass_at_k === undefined ? "" : "base tests alone"];
  const scores = rows.length === 0 ? `${benchmark.name}: no sample could be scored` : table(heads, rows);
  return [scores, table(["verdict", "samples"], Object.entries(verdicts).map(([verdict, count]) => [verdict, String(count)])), `${counts.samples} samples of ${counts.tasks - counts.tasksWithoutSamples} tasks`].join("\n\n");
}

/** What a reader of the score has to know. */
function warn({ counts, skipped }: Report): void {
  const { duplicates, empty, fenced, known, tasks, tasksSkipped, tasksWithoutSamples, unscored } = counts;
  if (known > 0) say(`${known} programs: verdicts known from an earlier run`);
  if (duplicates > 0) say(`${duplicates} samples repeat a program of their task: run once, counted each time`);
  if (empty > 0) say(`${empty} samples are empty`);
  if (fenced > 0) say(`${fenced} programs hold Markdown fences and were run as they are; --extract takes programs out`);
  if (tasksWithoutSamples > 0) say(`${tasksWithoutSamples} of ${tasks} tasks have no samples: the score is over the others`);
  if (tasksSkipped > 0) say(`${tasksSkipped} tasks skipped for want of ${[...new Set(skipped.flatMap(({ missing }) => missing))].sort().join(", ")}: the score is over the others`);
  if (unscored > 0) say(`${unscored} samples have no verdict: the sandbox failed on them, or their task has checks that judge no program; each result has its cause. \`diffucoder doctor\` tells whether the sandbox works at all`);
}

function kList(text: string): readonly number[] {
  const ks = text.split(",").map(Number);
  if (ks.every((k) => Number.isSafeInteger(k) && k > 0)) return ks;
  throw new InvalidArgumentError("expected whole numbers above 0, such as 1,10.");
}
