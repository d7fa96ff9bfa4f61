import type { ArtifactRef } from "@diffucoder/lineage";
import type { PipelineStatus, StageStatus } from "@diffucoder/orchestrator";
import { z } from "zod";
import { table } from "./output.ts";
import { formatDuration, formatShare } from "./quantities.ts";

const training = z.object({ stage: z.string(), steps: z.number(), validationLossAtStart: z.number(), validationLossAtEnd: z.number(), uniformLoss: z.number() });

const estimate = z.object({ mean: z.number(), interval: z.tuple([z.number(), z.number()]) });
const atK = z.array(z.object({ k: z.number(), mean: z.number() }));
const evaluation = z.object({
  seed: z.number(),
  tasks: z.object({ count: z.number() }),
  samples: z.object({ perTask: z.number(), temperature: z.number() }),
  checkpoints: z.array(z.object({ stage: z.string(), step: z.number(), greedy: estimate, sampled: estimate, arness: z.object({ local: atK, global: atK }) })),
  difference: estimate.optional(),
});

type Estimate = z.infer<typeof estimate>;

/** What a run has come to, as tables: training losses, scores, stages with their artifacts. */
export function renderRunSummary(status: PipelineStatus): string {
  const { name, runId, state, seed, numerics, startedAt, finishedAt } = status;
  const took = finishedAt === undefined ? "" : ` in ${formatDuration(finishedAt - startedAt)}`;
  const heading = `${name}, run ${runId}: ${state}${took}; seed ${seed}, ${numerics.dtype ?? numerics.policy}`;
  return [heading, trainingTable(status.stages), scoresTable(status.stages), stageTable(status)].filter((part) => part !== "").join("\n\n");
}

function trainingTable(stages: readonly StageStatus[]): string {
  const rows = stages.flatMap(({ id, summary }) => {
    const parsed = training.safeParse(summary);
    if (!parsed.success) return [];
    const { steps, validationLossAtStart, validationLossAtEnd, uniformLoss } = parsed.data;
    return [[id, String(steps), validationLossAtStart.toFixed(3), validationLossAtEnd.toFixed(3), uniformLoss.toFixed(3)]];
  });
  if (rows.length === 0) return "";
  return table(["validation loss (nats per token)", "steps", "at start", "at end", "uniform guess ln V"], rows);
}

function scoresTable(stages: readonly StageStatus[]): string {
  return stages
    .flatMap(({ summary }) => {
      const parsed = evaluation.safeParse(summary);
      return parsed.success ? [renderScores(parsed.data)] : [];
    })
    .join("\n\n");
}

function renderScores({ seed, tasks, samples, checkpoints, difference }: z.infer<typeof evaluation>): string {
  const at = (values: z.infer<typeof atK>): string => values.map(({ k, mean }) => `${mean.toFixed(2)} (k=${k})`).join(" ");
  const rows = checkpoints.map(({ stage, step, greedy, sampled, arness }) => [`after ${stage}, step ${step}`, withInterval(greedy), withInterval(sampled), at(arness.local), at(arness.global)]);
  const lines = [table([`held-out pass@1, ${tasks.count} tasks`, "greedy", `sampled, ${samples.perTask} each at T = ${samples.temperature}`, "local AR-ness", "global AR-ness"], rows)];
  if (difference !== undefined) {
    const { mean, interval: [lower, upper] } = difference;
    const isClear = lower > 0 || upper < 0;
    lines.push(`difference by reinforcement, sampled: ${points(mean)} (${points(lower)} to ${points(upper)})${isClear ? "" : "; zero is inside the interval"}`);
  }
  lines.push(`in brackets: 95 % bootstrap intervals over tasks, seed ${seed}`);
  return lines.join("\n");
}

const withInterval = ({ mean, interval: [lower, upper] }: Estimate): string => `${formatShare(mean)} (${formatShare(lower)} to ${formatShare(upper)})`;
const points = (share: number): string => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} points`;

function stageTable({ stages }: PipelineStatus): string {
  const rows = stages.map(({ id, state, wallMs, outputs }) => [id, state, wallMs === undefined ? "-" : formatDuration(wallMs), Object.entries(outputs).map(nameOutput).join(", ")]);
  return table(["stage", "state", "wall time", "artifacts"], rows);
}

const nameOutput = ([output, { digest }]: [string, ArtifactRef]): string => `${output} ${digest.slice(0, 12)}`;
