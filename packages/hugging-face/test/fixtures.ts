import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { saveCheckpoint, type Checkpoint, type Dtype } from "@diffucoder/formats";
import type { StageOutcome } from "@diffucoder/lineage";
import { initialParameters, toHuggingFace, type HuggingFaceLayout } from "@diffucoder/model";
import { TemporaryStore, tinyModel, type RunOptions } from "@diffucoder/test-kit";
import { trainTokenizer } from "@diffucoder/tokenizer";
import { exportModel, huggingFaceStage } from "../src/index.ts";

const TEXTS = ["def add(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n"];

/** Without the tokens of diffusion, as Qwen2.5's is. */
export const plainTokenizer = await trainTokenizer(TEXTS, { vocabSize: 280, specialTokens: ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] });
/** The same with them, as Dream's is: mask 281, pad 282. */
export const tokenizer = plainTokenizer.withSpecialTokens();

/** With five spare rows, as published models have. */
export const model = tinyModel(tokenizer, { intermediateSize: 24, layers: 2, heads: 4, kvHeads: 2, headDim: 4, tied: false, vocabSize: tokenizer.vocabSize + 5 });

export const parameters = initialParameters(model, 1);

export class Workplace extends TemporaryStore {
  /** A checkpoint of ours, in a folder. */
  async inFolder(changes: Partial<Checkpoint> = {}): Promise<(path: string) => Promise<string>> {
    const folder = await this.directory();
    await saveCheckpoint(folder, { config: toHuggingFace(model), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [], ...changes });
    return async (path) => join(folder, path);
  }

  /** A model's folder as others publish it. */
  async published(options: { layout?: HuggingFaceLayout; dtype?: Dtype; shardBytes?: number } = {}): Promise<string> {
    const folder = await this.directory();
    await exportModel(await this.inFolder(), folder, { layout: "dream", dtype: "F32", ...options });
    return folder;
  }

  /** @param folder of a model; relative ones start at this workplace */
  run(folder: string, options: RunOptions = {}): Promise<StageOutcome> {
    return this.runStage(huggingFaceStage, {}, { ...options, recipe: { folder } });
  }
}

/** Rewrites a JSON file. */
export async function alterJson(path: string, change: (json: Record<string, unknown>) => unknown): Promise<void> {
  const json = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  change(json);
  await writeFile(path, JSON.stringify(json));
}
