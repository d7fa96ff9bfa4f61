import { artifactName, TERMINAL_STATES, uiLink, type PipelineStatus, type Session, type StageStatus } from "@diffucoder/orchestrator";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { follow } from "./follow.ts";
import { print, say, type OutputFormat } from "./output.ts";
import { renderRunSummary } from "./run-summary.ts";

/** Follows a run, prints what it came to, and says what can be done next. */
export async function followAndReport(session: Session, runId: string, options: { readonly format: OutputFormat; readonly throughParking: boolean }): Promise<ExitCode> {
  const followed = await follow(session, runId, options);
  if (followed.kind === "detached") {
    say(`detached; run ${runId} goes on.\n  follow it: npx diffucoder status -w -r ${runId}\n  end it:    npx diffucoder cancel -r ${runId}`);
    return EXIT.detached;
  }
  const { status } = followed;
  print(options.format, status, renderRunSummary);
  say(nextSteps(status, uiLink(session, runId)));
  return exitCodeOf(status);
}

/** A run that is still at work is no failure. */
export function exitCodeOf({ state }: PipelineStatus): ExitCode {
  if (state === "parked") return EXIT.parked;
  return state === "done" || !TERMINAL_STATES.includes(state) ? EXIT.done : EXIT.unfinished;
}

/** What is worth typing next, and where to look. */
export function nextSteps(status: PipelineStatus, link: string | undefined): string {
  const page = link === undefined ? "" : `Temporal: ${link}\n`;
  const { runId, state, reason } = status;
  if (state === "parked") return `\n${page}${status.stages.filter((stage) => stage.state === "parked").map((stage) => parkedHelp(runId, stage)).join("\n")}`;
  if (state !== "done") return `\n${page}run ${runId}: ${state}${reason === undefined ? "" : `: ${reason}`}`;
  return `\n${page}${tryNext(status)}`;
}

function parkedHelp(runId: string, { id, error }: StageStatus): string {
  return [
    `stage ${id} is parked after ${error?.code ?? "a failure"}: ${error?.message ?? ""}`,
    `  once it is mended: npx diffucoder retry ${id} -r ${runId} [--set recipe.KEY=VALUE]`,
    `  with an artifact:  npx diffucoder skip ${id} -r ${runId} --artifact DIGEST`,
    `  give up:           npx diffucoder abort -r ${runId} --reason TEXT`,
    `  its log:           npx diffucoder logs ${id} -r ${runId}`,
  ].join("\n");
}

/** Three commands that fit what the run has made. */
function tryNext({ runId, stages }: PipelineStatus): string {
  const named = stages.flatMap(({ id, outputs }) => Object.keys(outputs).map((output) => ({ output, name: artifactName(runId, id, output) })));
  const checkpoint = named.findLast(({ output }) => output === "checkpoint")?.name;
  const report = named.findLast(({ output }) => output === "report")?.name;
  const last = named.at(-1)?.name;
  const lines = [
    ...(last === undefined ? [] : [`diffucoder lineage show ${last}`]),
    ...(checkpoint === undefined ? [] : [`diffucoder generate ${checkpoint} --prompt "NAMED ADD 3 MUL 2"`]),
    ...(report === undefined ? [] : [`diffucoder export ${report} report  # then open report/report.html`]),
  ];
  return `worth trying next:\n${lines.map((line) => `  npx ${line}`).join("\n")}`;
}
