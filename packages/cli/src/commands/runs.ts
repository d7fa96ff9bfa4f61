import { createReadStream, watch } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Command } from "commander";
import { finalStatus, listRuns, openHome, pipelineStatus, stageLogPath, uiLink, type PipelineStatus } from "@diffucoder/orchestrator";
import { outputOption, print, say, table, type OutputFormat } from "../output.ts";
import { chooseRun, requireStage, UsageError, withRunningServer, withSession } from "../project.ts";
import { exitCodeOf, followAndReport, nextSteps } from "../report-run.ts";
import { renderRunSummary } from "../run-summary.ts";
import { StageLines } from "../stage-line.ts";

export const RUN_OPTION = ["-r, --run <run>", "run that is meant; the newest one unless given"] as const;

export function runsCommand(): Command {
  return new Command("runs")
    .description("list the runs of this project, newest first")
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }) => {
      const home = openHome();
      const runs = await withRunningServer(home, (session) => listRuns(home, session));
      print(output, runs, (all) => (all.length === 0 ? "no runs yet" : table(["run", "state", "started", "recipe"], all.map(({ runId, state, startedAt, recipeFile }) => [runId, state, startedAt, recipeFile]))));
    });
}

export function statusCommand(): Command {
  return new Command("status")
    .description("where a run is")
    .option(...RUN_OPTION)
    .option("-w, --watch", "follow it to its end, through parking too")
    .addOption(outputOption())
    .action(async ({ run, watch: isWatched, output }: { run?: string; watch?: boolean; output: OutputFormat }) => {
      const home = openHome();
      const { runId } = await chooseRun(home, run);
      if (isWatched === true && finalStatus(home, runId) === undefined) {
        process.exitCode = await withSession(home, (session) => followAndReport(session, runId, { format: output, throughParking: true }));
        return;
      }
      await withRunningServer(home, async (session) => {
        const status = session === undefined ? finalStatus(home, runId) : await pipelineStatus(session, runId);
        if (status === undefined) throw new UsageError(`run ${runId}: expected a running server to ask, found none. \`diffucoder server up\` and \`diffucoder worker up\` let the run go on.`);
        print(output, status, renderStatus);
        if (output === "text" && session !== undefined) say(nextSteps(status, uiLink(session, runId)));
        process.exitCode = exitCodeOf(status);
      });
    });
}

/** Lines while a run is under way, the tables once it is over. */
function renderStatus(status: PipelineStatus): string {
  if (status.finishedAt !== undefined) return renderRunSummary(status);
  const lines = new StageLines();
  const rows = status.stages.map((stage) => [stage.id, lines.describe(stage, Date.now())]);
  return `run ${status.runId}: ${status.state}, seed ${status.seed}\n\n${table(["stage", "state"], rows)}`;
}

export function logsCommand(): Command {
  return new Command("logs")
    .description("what a stage's attempts printed")
    .argument("<stage>", "its id in the recipe")
    .option(...RUN_OPTION)
    .option("-f, --follow", "go on printing until Ctrl-C")
    .action(async (stage: string, { run, follow }: { run?: string; follow?: boolean }) => {
      const home = openHome();
      const { runId, pipeline } = await chooseRun(home, run);
      requireStage(pipeline, stage);
      const path = stageLogPath(home, runId, stage);
      if (follow === true) return followFile(path);
      const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
        return undefined;
      });
      if (text === undefined) return say(`stage ${stage} of run ${runId} has printed nothing: it was cached, or has not started`);
      process.stdout.write(text);
    });
}

/** Prints a file and what is appended to it. */
async function followFile(path: string): Promise<void> {
  let printed = 0;
  const printMore = async (): Promise<void> => {
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    if (size <= printed) return;
    const start = printed;
    printed = size;
    for await (const chunk of createReadStream(path, { start, end: size - 1 })) process.stdout.write(chunk as Buffer);
  };
  await printMore();
  const changes = watch(dirname(path), () => void printMore());
  await new Promise<void>((resolve) => process.once("SIGINT", resolve));
  changes.close();
}
