import { estimatePassAtK, type PassAtK } from "@diffucoder/tasks";
import { globalAtOne, localAtOne } from "./arness-curves.ts";
import type { AnalysedDecoding, AnalysedSample } from "./read-evaluation.ts";
import { decodedAt, temperaturesOf, type Series, type SeriesPair } from "./series.ts";
import { differenceOverTasks, estimateOverTasks, type TaskEstimate } from "./task-estimate.ts";

/** What a temperature does to the score and to the order. */
export interface TemperaturePoint {
  readonly temperature: number;
  readonly tasks: number;
  /** The fewest that a task has. */
  readonly samplesPerTask: number;
  readonly passAtK: readonly PassAtK[];
  /** At k = 1; undefined where nothing was decoded. */
  readonly local: TaskEstimate | undefined;
  readonly global: TaskEstimate | undefined;
}

/** pass@k for every k up to 10, and some beyond, at each temperature. */
export function temperatureSweep(series: Series): TemperaturePoint[] {
  return temperaturesOf(series).map((temperature) => {
    const counts = taskCounts(series.samples.filter((sample) => sample.temperature === temperature));
    const decoded = decodedAt(series, temperature);
    return {
      temperature,
      tasks: counts.length,
      samplesPerTask: Math.min(...counts.map(({ samples }) => samples)),
      passAtK: estimatePassAtK(counts, KS, BOOTSTRAP_SEED),
      local: estimateOverTasks(decoded, localAtOne),
      global: estimateOverTasks(decoded, globalAtOne),
    };
  });
}

const KS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100];
const BOOTSTRAP_SEED = 1;

function taskCounts(samples: readonly AnalysedSample[]): { samples: number; passed: number }[] {
  return [...Map.groupBy(samples, ({ task_id }) => task_id).values()].map((group) => ({ samples: group.length, passed: group.filter(({ passed }) => passed).length }));
}

export const MEASURES = ["pass@1", "local AR-ness", "global AR-ness"] as const;

/** A measure after minus before, at one temperature, task by task. */
export interface Change extends TaskEstimate {
  readonly benchmark: string;
  readonly before: string;
  readonly after: string;
  /** Denoising steps of both. */
  readonly steps: number;
  readonly temperature: number;
  readonly measure: (typeof MEASURES)[number];
}

/** What lies between an evaluation's baseline and its candidate, such as reinforcement. */
export function changesOf({ before, after }: SeriesPair): Change[] {
  return temperaturesOf(after).flatMap((temperature) =>
    MEASURES.flatMap((measure) => {
      const samplesOf = (series: Series) => (measure === "pass@1" ? series.samples.filter((sample) => sample.temperature === temperature) : decodedAt(series, temperature));
      const difference = differenceOverTasks(samplesOf(before), samplesOf(after), VALUES[measure]);
      return difference === undefined ? [] : [{ benchmark: after.benchmark, before: before.name, after: after.name, steps: after.decoding.steps, temperature, measure, ...difference }];
    }),
  );
}

const VALUES: Record<Change["measure"], (sample: AnalysedSample) => number> = { "pass@1": ({ passed }) => (passed ? 1 : 0), "local AR-ness": localAtOne, "global AR-ness": globalAtOne };

/** One checkpoint decoded in different numbers of steps, at one temperature. */
export interface StepsStudy {
  readonly benchmark: string;
  readonly name: string;
  readonly temperature: number;
  /** From most steps to fewest. */
  readonly points: readonly StepsPoint[];
}

export interface StepsPoint {
  readonly steps: number;
  readonly pass1: TaskEstimate;
  /** pass@1 minus that of the most steps, task by task; null at the most steps itself, and where they share no task. */
  readonly loss: TaskEstimate | null;
}

/** A study for each checkpoint and temperature that several evaluations decode alike but for the number of steps. */
export function stepsStudies(series: readonly Series[]): StepsStudy[] {
  const alike = Map.groupBy(series, ({ digest, benchmark, decoding }) => JSON.stringify([digest, benchmark, withoutSteps(decoding)]));
  return [...alike.values()]
    .filter((group) => group.length > 1)
    .flatMap((group) => {
      const [most, ...fewer] = [...group].sort((a, b) => b.decoding.steps - a.decoding.steps);
      const shared = temperaturesOf(most!).filter((temperature) => fewer.some((other) => temperaturesOf(other).includes(temperature)));
      return shared.map((temperature) => ({ benchmark: most!.benchmark, name: most!.name, temperature, points: pointsOf([most!, ...fewer], temperature) }));
    });
}

function withoutSteps({ steps: _, ...decoding }: AnalysedDecoding): Omit<AnalysedDecoding, "steps"> {
  return decoding;
}

function pointsOf(group: readonly Series[], temperature: number): StepsPoint[] {
  const at = ({ samples }: Series) => samples.filter((sample) => sample.temperature === temperature);
  const most = at(group[0]!);
  return group.flatMap((each, i) => {
    const samples = at(each);
    const pass1 = estimateOverTasks(samples, VALUES["pass@1"]);
    return pass1 === undefined ? [] : [{ steps: each.decoding.steps, pass1, loss: i === 0 ? null : (differenceOverTasks(most, samples, VALUES["pass@1"]) ?? null) }];
  });
}
