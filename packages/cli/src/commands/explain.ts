import { Command } from "commander";
import { acceptCode, explainStage, type Explanation, type JsonValue, type NearestRun } from "@diffucoder/lineage";
import { loadRegistry, openHome, previewPipeline, readPipeline, type ResolvedPipeline, type StagePreview } from "@diffucoder/orchestrator";
import { repeatable, seed } from "../options.ts";
import { outputOption, print, say, type OutputFormat } from "../output.ts";
import { chooseRun, projectStore, requireStage, UsageError } from "../project.ts";
import { readOptions } from "./run.ts";
import { RUN_OPTION } from "./runs.ts";

interface Options {
  readonly run?: string;
  readonly recipe?: string;
  readonly set: readonly string[];
  readonly seed?: number;
  readonly acceptCode?: string;
  readonly output: OutputFormat;
}

type Answer = Explanation | Exclude<StagePreview, { keyed: unknown }>;

export function explainCommand(): Command {
  return new Command("explain")
    .description("why a stage would run, or did: what its key has that no earlier one had")
    .argument("<stage>", "its id in the recipe")
    .option(...RUN_OPTION)
    .option("--recipe <file>", "ask about a pipeline file in place of a run")
    .addOption(repeatable("--set <key=value>", "with --recipe: as in run"))
    .option("--seed <n>", "with --recipe: as in run", seed)
    .option("--accept-code <reason>", "let the nearest result stand, which differs in nothing but the code; who, when and why is recorded")
    .addOption(outputOption())
    .action(async (stage: string, options: Options) => {
      const home = openHome();
      const registry = await loadRegistry();
      const pipeline: ResolvedPipeline =
        options.recipe === undefined ? (await chooseRun(home, options.run)).pipeline : await readPipeline(options.recipe, registry, readOptions(options));
      requireStage(pipeline, stage);
      const store = await projectStore(home);
      const preview = (await previewPipeline(pipeline, registry, store)).find(({ id }) => id === stage)!;
      const answer: Answer = "keyed" in preview ? await explainStage(store, preview.keyed) : preview;
      if (options.acceptCode !== undefined) {
        if (!("keyed" in preview) || !("nearest" in answer) || answer.nearest === undefined) throw new UsageError(`stage ${stage}: expected an earlier run whose result could stand, found none`);
        await acceptCode(store, { from: answer.nearest.key, resolved: preview.keyed, reason: options.acceptCode, now: Date.now });
        return say(`stage ${stage}: the result of key ${answer.nearest.key.slice(0, 12)} stands for key ${preview.keyed.key.slice(0, 12)} from now on`);
      }
      print(options.output, { stage, ...answer }, () => renderAnswer(stage, answer));
    });
}

function renderAnswer(stage: string, answer: Answer): string {
  if (answer.kind === "waits") return `stage ${stage}: its key depends on what ${answer.on.join(", ")} will give; ask about ${answer.on[0]} first`;
  if (answer.kind === "refused") return `stage ${stage}: its key cannot be computed: ${answer.reason}`;
  return [`stage ${stage}, key ${answer.key.slice(0, 12)}: ${renderState(answer)}`, ...renderNearest(answer.nearest)].join("\n");
}

function renderState(answer: Explanation): string {
  switch (answer.kind) {
    case "hit":
      return "a result stands under this key, so that it is not run again";
    case "damaged":
      return `it has run, but ${answer.damage}`;
    case "unfinished":
      return `attempts were begun and none has finished; checkpoints at steps ${answer.checkpointSteps.join(", ") || "none"}`;
    case "miss":
      return "no result stands under this key";
  }
}

function renderNearest(nearest: NearestRun | undefined): string[] {
  if (nearest === undefined) return ["the stage has not been run under any other key"];
  const text = (value: JsonValue | undefined): string => (value === undefined ? "nothing" : shorten(JSON.stringify(value)));
  return [`the nearest run under another key, ${nearest.key.slice(0, 12)}, differs in`, ...nearest.differences.map(({ path, before, now }) => `  ${path}: there ${text(before)}, here ${text(now)}`)];
}

const shorten = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text);
