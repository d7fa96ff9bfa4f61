import type { StagePlan } from "@diffucoder/lineage";
import { table } from "./output.ts";
import { formatBytes, formatCount, formatFlops } from "./quantities.ts";

interface PlannedPipeline {
  readonly name: string;
  readonly seed: number;
  readonly stages: readonly { readonly id: string; readonly state: string; readonly reason?: string; readonly plan: StagePlan }[];
}

const NOW = { cached: "cached", runs: "would run", waits: "after the above", refused: "cannot run" } as Record<string, string>;

/** What a run would take, stage by stage, and which stages would not find the memory they need on this machine. */
export function renderPlan({ name, seed, stages }: PlannedPipeline, memoryBytes: number): string {
  const cell = (value: number | undefined, format: (value: number) => string): string => (value === undefined ? "-" : format(value));
  const rows = stages.map(({ id, state, plan }) => [
    id,
    NOW[state]!,
    cell(plan.parameterCount, formatCount),
    cell(plan.tokens, formatCount),
    cell(plan.flops, formatFlops),
    cell(plan.peakMemoryBytes, formatBytes),
  ]);
  const total = stages.reduce((sum, { plan }) => sum + (plan.flops ?? 0), 0);
  const notes = stages.flatMap(({ id, reason, plan }) => [
    ...(reason === undefined ? [] : [`${id}: ${reason}`]),
    ...((plan.peakMemoryBytes ?? 0) > memoryBytes ? [`${id}: expected at most ${formatBytes(memoryBytes)} of memory, all of this machine's, found ${formatBytes(plan.peakMemoryBytes!)}`] : []),
    ...(plan.notes ?? []).map((note) => `${id}: ${note}`),
  ]);
  return [
    `plan of ${name}, seed ${seed}; nothing was started`,
    "",
    table(["stage", "now", "parameters", "tokens", "FLOPs", "peak memory"], rows),
    "",
    `together ${formatFlops(total)}; memory is that of one process in fp32 with optimizer and activations`,
    ...notes,
  ].join("\n");
}
