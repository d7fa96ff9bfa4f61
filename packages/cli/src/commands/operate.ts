import { Command } from "commander";
import { parse } from "yaml";
import { findArtifact, type JsonValue } from "@diffucoder/lineage";
import { abort, cancel, openHome, pause, pipelineStatus, resume, retryStage, skipStage, type PipelineStatus, type RetryRequest, type Session } from "@diffucoder/orchestrator";
import { repeatable, repeatableRequired } from "../options.ts";
import { say } from "../output.ts";
import { chooseRun, projectStore, UsageError, withSession } from "../project.ts";
import { RUN_OPTION } from "./runs.ts";

/** What an operator can tell a run. Each is accepted or refused at once. */
export function operatorCommands(): Command[] {
  return [retryCommand(), skipCommand(), abortCommand(), ...plainCommands()];
}

function retryCommand(): Command {
  return new Command("retry")
    .description("start a parked stage again, with changed settings if given")
    .argument("[stage]", "its id in the recipe; may be left out when one stage is parked")
    .option(...RUN_OPTION)
    .addOption(repeatable("--set <key=value>", "change a setting of the stage, such as recipe.optimizer.learningRate=0.001"))
    .action(async (stage: string | undefined, { run, set }: { run?: string; set: readonly string[] }) => {
      const changes = changesOf(set);
      await tell(run, async (session, runId) => {
        const chosen = stage ?? theParkedStage(await pipelineStatus(session, runId));
        await retryStage(session, runId, { stage: chosen, ...changes });
        return `stage ${chosen} of run ${runId} starts again`;
      });
    });
}

function skipCommand(): Command {
  return new Command("skip")
    .description("let artifacts stand in for a parked or waiting stage's outputs")
    .argument("<stage>", "its id in the recipe")
    .addOption(repeatableRequired("--artifact <[output=]artifact>", "a digest or name, for the output named or the only one"))
    .option(...RUN_OPTION)
    .action(async (stage: string, { run, artifact }: { run?: string; artifact: readonly string[] }) => {
      await tell(run, async (session, runId) => {
        const { pipeline } = await chooseRun(session.home, runId);
        const outputs = Object.keys(pipeline.stages.find(({ id }) => id === stage)?.outputs ?? {});
        const store = await projectStore(session.home);
        const artifacts: Record<string, string> = {};
        for (const written of artifact) {
          const [output, wanted] = written.includes("=") ? (written.split("=", 2) as [string, string]) : [outputs[0] ?? "", written];
          // A whole digest may be of an artifact that no record of this store speaks of yet.
          artifacts[output] = /^[0-9a-f]{64}$/.test(wanted) ? wanted : (await findArtifact(store, wanted)).digest;
        }
        await skipStage(session, runId, { stage, artifacts });
        return `stage ${stage} of run ${runId} is skipped`;
      });
    });
}

function abortCommand(): Command {
  return new Command("abort")
    .description("end a run for a reason that is kept")
    .requiredOption("--reason <text>", "why; kept with the run")
    .option(...RUN_OPTION)
    .action(({ run, reason }: { run?: string; reason: string }) =>
      tell(run, async (session, runId) => {
        await abort(session, runId, reason);
        return `run ${runId} is aborted`;
      }),
    );
}

function plainCommands(): Command[] {
  const verbs = [
    ["pause", "stop running stages at a checkpoint and start no others", pause, "pauses"],
    ["resume", "let a paused run go on", resume, "goes on"],
    ["cancel", "end a run; its stages save a checkpoint that the next run of the recipe goes on from", cancel, "is cancelled"],
  ] as const;
  return verbs.map(([name, description, send, said]) =>
    new Command(name)
      .description(description)
      .option(...RUN_OPTION)
      .action(({ run }: { run?: string }) =>
        tell(run, async (session, runId) => {
          await send(session, runId);
          return `run ${runId} ${said}`;
        }),
      ),
  );
}

async function tell(run: string | undefined, work: (session: Session, runId: string) => Promise<string>): Promise<void> {
  const home = openHome();
  const { runId } = await chooseRun(home, run);
  say(await withSession(home, (session) => work(session, runId)));
}

function theParkedStage({ runId, state, stages }: PipelineStatus): string {
  const parked = stages.filter(({ state }) => state === "parked").map(({ id }) => id);
  if (parked.length === 1) return parked[0]!;
  if (parked.length === 0) throw new UsageError(`run ${runId}: expected a parked stage, found none; it is ${state}. \`diffucoder status -r ${runId}\` shows its stages.`);
  throw new UsageError(`run ${runId}: expected one parked stage, found ${parked.join(", ")}. Name one.`);
}

type Changes = Pick<RetryRequest, "recipe" | "execution">;

/** `recipe.optimizer.learningRate=0.001` as a tree of changes. @throws UsageError */
export function changesOf(assignments: readonly string[]): Changes {
  const changes: Record<string, JsonValue> = {};
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    const keys = assignment.slice(0, equals).split(".");
    if (equals < 1 || keys.length < 2 || !["recipe", "execution"].includes(keys[0]!)) {
      throw new UsageError(`--set ${assignment}: expected recipe.KEY=VALUE or execution.KEY=VALUE`);
    }
    let at = changes;
    for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, JsonValue>;
    at[keys.at(-1)!] = parse(assignment.slice(equals + 1)) as JsonValue;
  }
  return changes as Changes;
}
