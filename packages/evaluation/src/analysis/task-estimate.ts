import { bootstrapInterval } from "@diffucoder/tasks";
import type { Estimate } from "../report.ts";
import type { AnalysedSample } from "./read-evaluation.ts";

/** A mean over tasks with its 95 % bootstrap interval, and what it is over. */
export interface TaskEstimate extends Estimate {
  readonly tasks: number;
  readonly samples: number;
}

type ValueOf = (sample: AnalysedSample) => number | undefined;

/** Mean over tasks of each task's mean; undefined where no answer has a value. Answers without one do not count. */
export function estimateOverTasks(samples: readonly AnalysedSample[], valueOf: ValueOf): TaskEstimate | undefined {
  const byTask = valuesByTask(samples, valueOf);
  if (byTask.size === 0) return undefined;
  return estimate([...byTask.values()].map(mean), count(byTask));
}

/** After minus before, task by task, over the tasks that both have answered. */
export function differenceOverTasks(before: readonly AnalysedSample[], after: readonly AnalysedSample[], valueOf: ValueOf): TaskEstimate | undefined {
  const [earlier, later] = [valuesByTask(before, valueOf), valuesByTask(after, valueOf)];
  const shared = [...later.keys()].filter((task) => earlier.has(task));
  if (shared.length === 0) return undefined;
  const ofShared = (byTask: ReadonlyMap<string, number[]>) => count(new Map(shared.map((task) => [task, byTask.get(task)!])));
  return estimate(shared.map((task) => mean(later.get(task)!) - mean(earlier.get(task)!)), ofShared(earlier) + ofShared(later));
}

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function valuesByTask(samples: readonly AnalysedSample[], valueOf: ValueOf): Map<string, number[]> {
  const byTask = new Map<string, number[]>();
  for (const sample of samples) {
    const value = valueOf(sample);
    if (value === undefined) continue;
    const values = byTask.get(sample.task_id);
    if (values === undefined) byTask.set(sample.task_id, [value]);
    else values.push(value);
  }
  return byTask;
}

function count(byTask: ReadonlyMap<string, readonly number[]>): number {
  return [...byTask.values()].reduce((sum, values) => sum + values.length, 0);
}

function estimate(values: readonly number[], samples: number): TaskEstimate {
  return { mean: mean(values), interval: bootstrapInterval(values, BOOTSTRAP_SEED), tasks: values.length, samples };
}

/** Equal artifacts give equal pages. */
const BOOTSTRAP_SEED = 1;
