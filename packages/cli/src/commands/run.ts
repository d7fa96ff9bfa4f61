import { resolve } from "node:path";
import { machineMemoryBytes } from "@diffucoder/lineage";
import { Command } from "commander";
import { loadRegistry, openHome, outdatedWorkers, planPipeline, previewPipeline, readPipeline, startPipeline, uiLink, type ReadOptions } from "@diffucoder/orchestrator";
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
        const plans = await planPipeline(pipeline, registry);
        const previews = await previewPipeline(pipeline, registry, await projectStore(home));
        const stages = previews.map((preview) => {
          const { id, kind } = preview;
          return { id, state: kind, ...("keyed" in preview ? { key: preview.keyed.key } : {}), ...("reason" in preview ? { reason: preview.reason } : {}), plan: plans.get(id)! };
        });
        return print(options.output, { name: pipeline.name, seed: pipeline.seed, stages }, (plan) => renderPlan(plan, machineMemoryBytes()));
      }
      await withSession(home, async (session) => {
        for (const { pid } of outdatedWorkers(home)) {
          say(`worker ${pid} was started from older sources and is at work: stages that start now run the present ones, but settings that the older ones do not know are refused. It is replaced once it is idle; \`diffucoder worker down\` stops it at a checkpoint.`);
        }
        const runId = await startPipeline(session, pipeline, resolve(recipe));
        const link = uiLink(session, runId);
        if (options.detach === true) return print(options.output, { runId, ...(link === undefined ? {} : { ui: link }) }, () => `run ${runId} started\nfollow it: npx diffucoder status -w -r ${runId}`);
        say(`run ${runId}${link === undefined ? "" : `, ${link}`}`);
        process.exitCode = await followAndReport(session, runId, { format: options.output, throughParking: false });
      });
    })
    .addHelpText("after", `\nExit codes: ${EXIT.done} done, ${EXIT.failed} something failed before there was a run, ${EXIT.usage} bad recipe, ${EXIT.parked} parked, ${EXIT.unfinished} failed, aborted or cancelled, ${EXIT.detached} detached by Ctrl-C.`);
}
