import type { Sandbox } from "@diffucoder/sandbox";
import { findTask, type Benchmark } from "./benchmark.ts";
import { programOfAnswer, programOfText } from "./benchmark-prompt.ts";
import type { BenchmarkTask } from "./benchmark-task.ts";
import { TasksError } from "./errors.ts";
import { estimatePassAtK, type PassAtK } from "./pass-at-k.ts";
import type { Sample } from "./samples.ts";
import { judgeProgram, missingLibraries, type Judgement, type NoVerdict } from "./score.ts";
import { VerdictLog } from "./verdict-log.ts";

export interface ScoreSamplesOptions {
  readonly sandbox: Sandbox;
  readonly benchmark: Benchmark;
  readonly samples: readonly Sample[];
  /** k of pass@k; left out where a task has fewer samples. */
  readonly ks: readonly number[];
  /** Of the bootstrap. */
  readonly seed: number;
  /** Takes programs out of Markdown fences; otherwise they are run as they are. */
  readonly extract?: boolean;
  /** Programs that run at once. */
  readonly parallel?: number;
  /** Verdicts found earlier, and those found now. */
  readonly log?: VerdictLog;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface SampleResult {
  readonly sample: Sample;
  readonly task: BenchmarkTask;
  /** The whole program that was run. */
  readonly program: string;
  /** Without status where nothing can be said of the program: a fault of the sandbox, checks that judge none, or libraries that are not there. */
  readonly judgement: Judgement | NoVerdict;
  /** Libraries that the task needs and the sandbox has not. */
  readonly missing: readonly string[];
}

export interface ScoredSamples {
  /** In the order of the samples. */
  readonly results: readonly SampleResult[];
  readonly passAtK: readonly PassAtK[];
  /** By the benchmark's original tests alone, where it has others besides. */
  readonly basePassAtK: readonly PassAtK[] | undefined;
  readonly counts: SampleCounts;
}

export interface SampleCounts {
  readonly samples: number;
  /** Samples whose program an earlier one of the same task had: run once, counted each time. */
  readonly duplicates: number;
  /** Samples without any text. */
  readonly empty: number;
  /** Samples with Markdown fences in what was run. */
  readonly fenced: number;
  /** Programs whose verdict the log had. */
  readonly known: number;
  /** Samples on which the sandbox failed twice, or whose task has checks that judge no program. */
  readonly unscored: number;
  readonly tasks: number;
  readonly tasksWithoutSamples: number;
  /** Tasks with samples that cannot be run for want of libraries. */
  readonly tasksSkipped: number;
}

/**
 * Runs samples against a benchmark, each distinct program once.
 *
 * @throws TasksError `SamplesUnknownTask`; SandboxUnavailable
 */
export async function scoreSamples(options: ScoreSamplesOptions): Promise<ScoredSamples> {
  const { sandbox, benchmark, samples, extract = false, parallel = 2, log, onProgress } = options;
  const items = samples.map((sample) => programOf(sample, benchmark, extract));
  const absent = await missingLibraries(sandbox, new Set(items.flatMap(({ task }) => task.libraries)));
  const seen = new Set<string>();
  const verdicts = new Map<string, Judgement | NoVerdict>();
  let known = 0;
  const pending: (readonly [string, (typeof items)[number]])[] = [];
  for (const item of items) {
    const key = VerdictLog.keyOf(benchmark, item.task.id, item.program);
    if (seen.has(key) || item.task.libraries.some((name) => absent.has(name))) continue;
    seen.add(key);
    const found = log?.find(key);
    if (found === undefined) {
      pending.push([key, item]);
      continue;
    }
    known++;
    verdicts.set(key, found);
  }
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    for (let entry = pending[next++]; entry !== undefined; entry = pending[next++]) {
      const [key, { task, program }] = entry;
      const first = await judgeProgram(sandbox, task, program);
      const judgement = first.status === null && first.faultOf === "sandbox" ? await judgeProgram(sandbox, task, program) : first;
      verdicts.set(key, judgement);
      if (judgement.status !== null) await log?.add(key, judgement);
      onProgress?.(++done, pending.length);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  const results = items.map((item): SampleResult => {
    const missing = item.task.libraries.filter((name) => absent.has(name));
    const needs: NoVerdict = { status: null, faultOf: "task", cause: `needs ${missing.join(", ")}` };
    return { ...item, missing, judgement: verdicts.get(VerdictLog.keyOf(benchmark, item.task.id, item.program)) ?? needs };
  });
  return { results, ...estimatesOf(results, options), counts: countsOf(results, { benchmark, distinct: verdicts.size, known }) };
}

function programOf(sample: Sample, benchmark: Benchmark, extract: boolean): Pick<SampleResult, "sample" | "task" | "program"> {
  const task = findTask(benchmark, sample.taskId);
  if (task === undefined) {
    throw new TasksError("SamplesUnknownTask", `${sample.where}: expected one of the ${benchmark.tasks.length} tasks of ${benchmark.name} in ${benchmark.path}, found ${sample.taskId}. Name the benchmark and file that the samples are for.`);
  }
  if (extract) {
    const text = programOfText(sample.text);
    return { sample, task, program: sample.form === "solution" ? text : programOfAnswer(task, text) };
  }
  return { sample, task, program: sample.form === "solution" ? sample.text : task.completionPrefix + sample.text };
}

function estimatesOf(results: readonly SampleResult[], { ks, seed }: ScoreSamplesOptions): Pick<ScoredSamples, "passAtK" | "basePassAtK"> {
  const estimate = (hasPassed: (judgement: Judgement) => boolean): PassAtK[] => {
    const tasks = new Map<string, { samples: number; passed: number }>();
    for (const { task, judgement } of results) {
      if (judgement.status === null) continue;
      const { samples, passed } = tasks.get(task.id) ?? { samples: 0, passed: 0 };
      tasks.set(task.id, { samples: samples + 1, passed: passed + Number(hasPassed(judgement)) });
    }
    return estimatePassAtK([...tasks.values()], ks, seed);
  };
  const hasBase = results.some(({ task }) => task.suites.length > 1);
  return {
    passAtK: estimate(({ status }) => status === "passed"),
    basePassAtK: hasBase ? estimate(({ suites }) => suites.base?.status === "passed") : undefined,
  };
}

function countsOf(results: readonly SampleResult[], { benchmark, distinct, known }: { benchmark: Benchmark; distinct: number; known: number }): SampleCounts {
  const runnable = results.filter(({ missing }) => missing.length === 0);
  const tasksOf = (items: readonly SampleResult[]): number => new Set(items.map(({ task }) => task.id)).size;
  return {
    samples: results.length,
    duplicates: runnable.length - distinct,
    empty: results.filter(({ sample }) => sample.text.trim() === "").length,
    fenced: results.filter(({ program }) => /^[ \t]*```/m.test(program)).length,
    known,
    unscored: runnable.filter(({ judgement }) => judgement.status === null).length,
    tasks: benchmark.tasks.length,
    tasksWithoutSamples: benchmark.tasks.length - tasksOf(results),
    tasksSkipped: tasksOf(results) - tasksOf(runnable),
  };
}
