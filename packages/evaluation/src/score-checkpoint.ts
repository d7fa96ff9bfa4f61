import { globalArness, localArness } from "@diffucoder/model";
import { bootstrapInterval, estimatePassAtK } from "@diffucoder/tasks";
import type { Recipe } from "./config.ts";
import type { QuestionSet } from "./question.ts";
import type { Arness, BenchmarkScores, Estimate, TemperatureScores } from "./report.ts";
import type { SampleLine } from "./sample-line.ts";

/** Scores of one checkpoint's answers to one set of questions. */
export function scoreBenchmark(set: QuestionSet, lines: readonly SampleLine[], { passAt, arnessK }: Pick<Recipe, "passAt" | "arnessK">, seed: number): BenchmarkScores {
  const scores = set.samplings.map(({ temperature, samples }): TemperatureScores => {
    const ks = [1, ...passAt.filter((k) => k > 1 && k <= samples)];
    const estimate = (hasPassed: (line: SampleLine) => boolean) =>
      estimatePassAtK(countsOf(set, lines, temperature, hasPassed).map((passed) => ({ samples, passed })), ks, seed);
    const hasBase = lines.some(({ suites }) => suites?.base !== undefined);
    return {
      temperature,
      samplesPerTask: samples,
      passAtK: estimate(({ passed }) => passed),
      ...(hasBase ? { basePassAtK: estimate(({ suites }) => suites?.base?.status === "passed") } : {}),
    };
  });
  const greedy = lines.filter(({ temperature, order }) => temperature === 0 && order.length > 0);
  return {
    benchmark: set.name,
    scores,
    arness: arnessOf(greedy.map(({ order }) => order), arnessK),
    arnessOfAnswer: arnessOf(greedy.map(({ order, answerTokens }) => order.filter((position) => position < answerTokens)), arnessK),
    verdicts: countStatuses(lines),
  };
}

/** Number of answers that have passed, task by task. */
function countsOf({ questions }: QuestionSet, lines: readonly SampleLine[], temperature: number, hasPassed: (line: SampleLine) => boolean): number[] {
  const counts = new Map(questions.map(({ taskId }) => [taskId, 0]));
  for (const line of lines) {
    if (line.temperature === temperature && hasPassed(line)) counts.set(line.task_id, counts.get(line.task_id)! + 1);
  }
  return [...counts.values()];
}

/** Both checkpoints answer the same questions, so the difference of pass@1 is taken task by task. */
export function pairedDifference(set: QuestionSet, temperature: number, candidate: readonly SampleLine[], baseline: readonly SampleLine[], seed: number): Estimate {
  const samples = set.samplings.find((sampling) => sampling.temperature === temperature)!.samples;
  const [after, before] = [candidate, baseline].map((lines) => countsOf(set, lines, temperature, ({ passed }) => passed));
  const differences = after!.map((passed, task) => (passed - before![task]!) / samples);
  return { mean: mean(differences), interval: bootstrapInterval(differences, seed) };
}

function arnessOf(orders: readonly (readonly number[])[], ks: readonly number[]): Arness {
  if (orders.length === 0) return { local: [], global: [] };
  return {
    local: ks.map((k) => ({ k, mean: mean(orders.map((order) => localArness(order, k))) })),
    global: ks.map((k) => ({ k, mean: mean(orders.map((order) => globalArness(order, k))) })),
  };
}

function countStatuses(lines: readonly SampleLine[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of lines) counts[status] = (counts[status] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort());
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
