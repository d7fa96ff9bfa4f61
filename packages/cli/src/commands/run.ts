import { resolve } from "node:path";
import { machineMemoryBytes } from "@diffucoder/lineage";
import { Command } from "commander";
import type { Store } from "@diffucoder/lineage";
import {
  loadRegistry,
  openHome,
  outdatedWorkers,
  planPipeline,
  previewPipeline,
  readPipeline,
  startPipeline,
  uiLink,
  type ReadOptions,
  type ResolvedPipeline,
  type StageRegistry,
} from "@diffucoder/orchestrator";
import { EXIT } from "../exit-codes.ts";
import { repeatable, seed } from "../options.ts";
import { outputOption, print, say, type OutputFormat } from "../output.ts";
import { projectStore, withSession } from "../project.ts";
import { renderPlan } from "../render-plan.ts";
import { followAndReport } from "../report-run.ts";

interface Options {
  readonly plan?: boolean;
  readonly set: readonly string[];
  readonly seed?: number;
  readonly detach?: boolean;
  readonly output: OutputFormat;
}

export function readOptions({ set, seed: chosen }: Pick<Options, "set" | "seed">): ReadOptions {
  return { overrides: set, ...(chosen === undefined ? {} : { seed: chosen }) };
}

export function runCommand(): Command {
  return new Command("run")
    .description("run a pipeline; finished stages are found and not made again")
    .argument("<recipe>", "pipeline file, such as pipelines/quickstart.yaml")
    .option("--plan", "print stages, tokens, FLOPs and memory, and what is cached; start nothing")
    .addOption(repeatable("--set <key=value>", "change a setting, such as stages.pretraining.recipe.steps=20"))
    .option("--seed <n>", "seed of the run, in place of the recipe's", seed)
    .option("--detach", "start the run and return")
    .addOption(outputOption())
    .action(async (recipe: string, options: Options) => {
      const registry = await loadRegistry();
      const pipeline = await readPipeline(recipe, registry, readOptions(options));
      const home = openHome();
      if (options.plan === true) {
        const plan = await planOf(pipeline, registry, await projectStore(home));
        return print(options.output, plan, () => renderPlan(plan, machineMemoryBytes()));
      }
      await withSession(home, async (session) => {
        for (const { pid } of outdatedWorkers(home)) say(outdated(pid));
        const runId = await startPipeline(session, pipeline, resolve(recipe));
        const link = uiLink(session, runId);
        if (options.detach === true) {
          const started = { runId, ...(link === undefined ? {} : { ui: link }) };
          return print(options.output, started, () => `run ${runId} started\nfollow it: npx diffucoder status -w -r ${runId}`);
        }
        say(`run ${runId}${link === undefined ? "" : `, ${link}`}`);
        process.exitCode = await followAndReport(session, runId, { format: options.output, throughParking: false });
      });
    })
    .addHelpText("after", EXIT_CODES);
}

const EXIT_CODES = `
Exit codes: ${EXIT.done} done, ${EXIT.failed} something failed before there was a run, ${EXIT.usage} bad recipe, ${EXIT.parked} parked,
${EXIT.unfinished} failed, aborted or cancelled, ${EXIT.detached} detached by Ctrl-C.`;

/** What each stage would cost, and whether it would run. */
async function planOf(pipeline: ResolvedPipeline, registry: StageRegistry, store: Store) {
  const plans = await planPipeline(pipeline, registry);
  const stages = (await previewPipeline(pipeline, registry, store)).map((preview) => {
    const { id, kind } = preview;
    const key = "keyed" in preview ? { key: preview.keyed.key } : {};
    const reason = "reason" in preview ? { reason: preview.reason } : {};
    return { id, state: kind, ...key, ...reason, plan: plans.get(id)! };
  });
  return { name: pipeline.name, seed: pipeline.seed, stages };
}

const outdated = (pid: number): string =>
  `worker ${pid} was started from older sources and is at work: stages that start now run the present ones, but settings ` +
  "that the older ones do not know are refused. It is replaced once it is idle; `diffucoder worker down` stops it at a checkpoint.";
