import type { ArtifactRef } from "@diffucoder/lineage";
import type { PipelineStatus, StageStatus } from "@diffucoder/orchestrator";
import { z } from "zod";
import { table } from "./output.ts";
import { formatDuration, formatShare } from "./quantities.ts";

const training = z.object({ stage: z.string(), steps: z.number(), validationLossAtStart: z.number(), validationLossAtEnd: z.number(), uniformLoss: z.number(), loaderWaitShare: z.number().optional() });

const estimate = z.object({ mean: z.number(), interval: z.tuple([z.number(), z.number()]) });
const atK = z.array(z.object({ k: z.number(), mean: z.number() }));
const benchmarkScores = z.object({
  benchmark: z.string(),
  scores: z.array(z.object({ temperature: z.number(), samplesPerTask: z.number(), passAtK: z.array(estimate) })),
  arness: z.object({ local: atK, global: atK }),
});
const evaluation = z.object({
  seed: z.number(),
  benchmarks: z.array(z.object({ name: z.string(), tasks: z.number(), skipped: z.array(z.unknown()) })),
  checkpoints: z.array(z.object({ stage: z.string(), step: z.number(), benchmarks: z.array(benchmarkScores) })),
  differences: z.array(z.object({ benchmark: z.string(), temperature: z.number(), ...estimate.shape })),
});

type Estimate = z.infer<typeof estimate>;

/** What a run has come to, as tables: training losses, scores, stages with their artifacts. */
export function renderRunSummary(status: PipelineStatus): string {
  const { name, runId, state, seed, numerics, startedAt, finishedAt } = status;
  const took = finishedAt === undefined ? "" : ` in ${formatDuration(finishedAt - startedAt)}`;
  const heading = `${name}, run ${runId}: ${state}${took}; seed ${seed}, ${numerics.dtype ?? numerics.policy}`;
  return [heading, slowness(status.stages), trainingTable(status.stages), scoresTable(status.stages), stageTable(status)].filter((part) => part !== "").join("\n\n");
}

/** Each reason why stages took longer than they had to, and which. */
function slowness(stages: readonly StageStatus[]): string {
  const reasons = new Map<string, string[]>();
  for (const { id, summary } of stages) {
    if (typeof summary?.slowerBecause !== "string") continue;
    reasons.set(summary.slowerBecause, [...(reasons.get(summary.slowerBecause) ?? []), id]);
  }
  return [...reasons].map(([reason, ids]) => `SLOWER than this machine could be (${ids.join(", ")}): ${reason}`).join("\n");
}

function trainingTable(stages: readonly StageStatus[]): string {
  const rows = stages.flatMap(({ id, summary }) => {
    const parsed = training.safeParse(summary);
    if (!parsed.success) return [];
    const { steps, validationLossAtStart, validationLossAtEnd, uniformLoss, loaderWaitShare } = parsed.data;
    return [[id, String(steps), validationLossAtStart.toFixed(3), validationLossAtEnd.toFixed(3), uniformLoss.toFixed(3), loaderWaitShare === undefined ? "-" : formatShare(loaderWaitShare)]];
  });
  if (rows.length === 0) return "";
  return table(["validation loss (nats per token)", "steps", "at start", "at end", "uniform guess ln V", "waiting for data"], rows);
}

function scoresTable(stages: readonly StageStatus[]): string {
  return stages
    .flatMap(({ summary }) => {
      const parsed = evaluation.safeParse(summary);
      return parsed.success ? [renderScores(parsed.data)] : [];
    })
    .join("\n\n");
}

function renderScores({ seed, benchmarks, checkpoints, differences }: z.infer<typeof evaluation>): string {
  const tables = benchmarks.map(({ name, tasks, skipped }, i) => {
    const scored = checkpoints.map(({ stage, step, benchmarks: scores }) => ({ label: `after ${stage}, step ${step}`, ...scores[i]! }));
    const rows = scored.map(({ label, scores, arness }) => [label, ...scores.map(({ passAtK: [pass1] }) => (pass1 === undefined ? "-" : withInterval(pass1))), at(arness.local), at(arness.global)]);
    const heads = scored[0]!.scores.map(({ temperature, samplesPerTask }) => (temperature === 0 ? "greedy" : `sampled, ${samplesPerTask} each at T = ${temperature}`));
    const lines = [table([`${name} pass@1, ${tasks} tasks`, ...heads, "local AR-ness", "global AR-ness"], rows)];
    for (const { temperature, ...difference } of differences.filter(({ benchmark }) => benchmark === name)) {
      if (temperature > 0) lines.push(`difference by reinforcement, T = ${temperature}: ${describeDifference(difference)}`);
    }
    if (skipped.length > 0) lines.push(`${skipped.length} tasks skipped, as they need libraries that are not here`);
    return lines.join("\n");
  });
  return [...tables, `in brackets: 95 % bootstrap intervals over tasks, seed ${seed}`].join("\n");
}

const at = (values: z.infer<typeof atK>): string => values.map(({ k, mean }) => `${mean.toFixed(2)} (k=${k})`).join(" ");

function describeDifference({ mean, interval: [lower, upper] }: Estimate): string {
  const isClear = lower > 0 || upper < 0;
  return `${points(mean)} (${points(lower)} to ${points(upper)})${isClear ? "" : "; zero is inside the interval"}`;
}

const withInterval = ({ mean, interval: [lower, upper] }: Estimate): string => `${formatShare(mean)} (${formatShare(lower)} to ${formatShare(upper)})`;
const points = (share: number): string => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} points`;

function stageTable({ stages }: PipelineStatus): string {
  const rows = stages.map(({ id, state, wallMs, outputs }) => [id, state, wallMs === undefined ? "-" : formatDuration(wallMs), Object.entries(outputs).map(nameOutput).join(", ")]);
  return table(["stage", "state", "wall time", "artifacts"], rows);
}

const nameOutput = ([output, { digest }]: [string, ArtifactRef]): string => `${output} ${digest.slice(0, 12)}`;
