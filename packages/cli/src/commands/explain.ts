import { Command } from "commander";
import { explainStage, type Explanation, type JsonValue } from "@diffucoder/lineage";
import { loadRegistry, openHome, previewPipeline, readPipeline, type ResolvedPipeline, type StagePreview } from "@diffucoder/orchestrator";
import { outputOption, print, type OutputFormat } from "../output.ts";
import { chooseRun, projectStore, UsageError } from "../project.ts";
import { readOptions, seedOption, setOption } from "./run.ts";
import { RUN_OPTION } from "./runs.ts";

interface Options {
  readonly run?: string;
  readonly recipe?: string;
  readonly set: readonly string[];
  readonly seed?: number;
  readonly output: OutputFormat;
}

type Answer = Explanation | Exclude<StagePreview, { keyed: unknown }>;

export function explainCommand(): Command {
  return new Command("explain")
    .description("why a stage would run, or did: what its key has that no earlier one had")
    .argument("<stage>")
    .option(...RUN_OPTION)
    .option("--recipe <file>", "ask about a pipeline file in place of a run")
    .option("--set <key=value>", "with --recipe: as in run", setOption, [])
    .option("--seed <n>", "with --recipe: as in run", seedOption)
    .addOption(outputOption())
    .action(async (stage: string, options: Options) => {
      const home = openHome();
      const registry = await loadRegistry();
      const pipeline: ResolvedPipeline =
        options.recipe === undefined ? (await chooseRun(home, options.run)).pipeline : await readPipeline(options.recipe, registry, readOptions(options));
      const store = await projectStore(home);
      const preview = (await previewPipeline(pipeline, registry, store)).find(({ id }) => id === stage);
      if (preview === undefined) throw new UsageError(`stage ${stage}: expected one of ${pipeline.stages.map(({ id }) => id).join(", ")}, found no such stage`);
      const answer: Answer = "keyed" in preview ? await explainStage(store, preview.keyed) : preview;
      print(options.output, { stage, ...answer }, () => renderAnswer(stage, answer));
    });
}

function renderAnswer(stage: string, answer: Answer): string {
  const nearest = "nearest" in answer && answer.nearest !== undefined ? renderDifferences(answer.nearest) : "";
  switch (answer.kind) {
    case "waits":
      return `stage ${stage}: its key depends on what ${answer.on.join(", ")} will give; ask about ${answer.on[0]} first`;
    case "refused":
      return `stage ${stage}: its key cannot be computed: ${answer.reason}`;
    case "hit":
      return `stage ${stage}: a result stands under its key ${answer.key.slice(0, 12)}, so that it is not run again${nearest}`;
    case "unfinished":
      return `stage ${stage}: attempts were made under its key ${answer.key.slice(0, 12)}, none finished; checkpoints at steps ${answer.checkpointSteps.join(", ") || "none"}${nearest}`;
    case "never-run":
      return `stage ${stage}: key ${answer.key.slice(0, 12)} is new, and the stage has never been run in this store`;
    case "miss":
      return `stage ${stage}: no result stands under its key ${answer.key.slice(0, 12)}${nearest}`;
  }
}

function renderDifferences({ key, differences }: NonNullable<Extract<Explanation, { kind: "miss" }>["nearest"]>): string {
  const text = (value: JsonValue | undefined): string => (value === undefined ? "nothing" : shorten(JSON.stringify(value)));
  return [`\nthe nearest other run, key ${key.slice(0, 12)}, differs in`, ...differences.map(({ path, before, now }) => `  ${path}: there ${text(before)}, here ${text(now)}`)].join("\n");
}

const shorten = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text);
