import { join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { exportModel } from "@diffucoder/hugging-face";
import { findArtifact, planGarbage, writeFolder, type ArtifactRef, type Store } from "@diffucoder/lineage";
import type { HuggingFaceLayout } from "@diffucoder/model";
import { liveWorkers, openHome } from "@diffucoder/orchestrator";
import { outputOption, print, say, table, type OutputFormat } from "../output.ts";
import { projectStore, UsageError } from "../project.ts";
import { formatBytes } from "../quantities.ts";

export function exportCommand(): Command {
  return new Command("export")
    .description("lay an artifact's files out in a new folder")
    .argument("<artifact>", "a name, or the first digits of a digest")
    .argument("<folder>", "empty or new")
    .addOption(new Option("--layout <name>", "a checkpoint as a model of Hugging Face: weights, config and tokenizer alone").choices(["qwen2", "dream"]))
    .addOption(new Option("--dtype <name>", "of the weights, in such a layout").choices(Object.keys(DTYPES)).default("fp32"))
    .addOption(new Option("--max-shard-size <GB>", "of a file of weights, in such a layout; above it there are several").argParser(gigabytes).default(5))
    .action(async (artifact: string, folder: string, { layout, dtype, maxShardSize }: ExportChoice) => {
      const store = await projectStore();
      const ref = await findArtifact(store, artifact);
      if (layout !== undefined && ref.kind !== "checkpoint") throw new UsageError(`${artifact}: expected a checkpoint to export in the layout ${layout}, found a ${ref.kind} artifact`);
      const files = layout === undefined ? await copyArtifact(store, ref, folder) : await exportModel((path) => store.artifacts.file(ref, path, { verify: true }), folder, { layout, dtype: DTYPES[dtype], shardBytes: maxShardSize * 1e9 });
      print("text", files, (all) => all.map((path) => join(folder, path)).join("\n"));
    });
}

interface ExportChoice {
  readonly layout?: HuggingFaceLayout;
  readonly dtype: keyof typeof DTYPES;
  readonly maxShardSize: number;
}

function gigabytes(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("expected a number above 0.");
}

const DTYPES = { fp32: "F32", bf16: "BF16", fp16: "F16" } as const;

async function copyArtifact(store: Store, ref: ArtifactRef, folder: string): Promise<string[]> {
  await writeFolder(folder, (incoming) => store.artifacts.materialize(ref, incoming));
  return (await store.artifacts.manifest(ref)).files.map(({ path }) => path);
}

export function gcCommand(): Command {
  return new Command("gc")
    .description("remove what no record leads to, leavings of dead attempts, and pieces that no run has used for a week")
    .option("--plan", "list it, remove nothing")
    .addOption(outputOption())
    .action(async ({ plan, output }: { plan?: boolean; output: OutputFormat }) => {
      const home = openHome();
      // What a running stage has written is not recorded before the stage ends.
      const running = liveWorkers(home).reduce((sum, worker) => sum + worker.running, 0);
      if (plan !== true && running > 0) throw new UsageError(`gc: expected no stage at work, found ${running}. Wait for their end, or \`diffucoder worker down\`.`);
      const store = await projectStore(home);
      const garbage = await planGarbage(store);
      if (plan !== true) for (const { digest } of garbage) await store.blobs.remove(digest);
      print(output, garbage, (all) => (all.length === 0 ? "" : table(["blob", "size"], all.map(({ digest, bytes }) => [digest, formatBytes(bytes)]))));
      const total = garbage.reduce((sum, { bytes }) => sum + bytes, 0);
      say(garbage.length === 0 ? "nothing to remove" : `${garbage.length} blobs, ${formatBytes(total)}: ${plan === true ? "would be removed" : "removed"}`);
    });
}
