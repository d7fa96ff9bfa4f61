import type { PipelineStatus } from "./contract.ts";

/** Markdown table of the stages, shown live on Temporal's page. */
export function stageTable({ stages }: PipelineStatus): string {
  const rows = stages.map(({ id, state, attempt, error }) => `| ${id} | ${state} | ${attempt} | ${(error?.code ?? "").replaceAll("|", "\\|")} |`);
  return ["| stage | state | attempt | newest failure |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
