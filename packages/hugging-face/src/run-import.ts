import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeWeights, type TensorToWrite } from "@diffucoder/formats";
import { StageCancelled, type StageContext, type StageDefinition, type StagePlan, type StageRequest, type StageResult } from "@diffucoder/lineage";
import { fromHuggingFace, parameterCount, parameterShapes, toHuggingFace } from "@diffucoder/model";
import { executionSchema, recipeSchema, type Recipe } from "./config.ts";
import { identifyModelFolder, openModelFolder, readConfig } from "./model-folder.ts";

/**
 * A model of Hugging Face's layout, as a checkpoint that stages can start from: weights as they are, the tokenizer in one
 * file, with the special tokens of diffusion. Lineage leads back to the digest of each of its files.
 */
export const huggingFaceStage: StageDefinition<Recipe, Record<string, never>> = {
  name: "hugging-face",
  packageName: "@diffucoder/hugging-face",
  entry: import.meta.filename,
  resource: "cpu",
  inputs: {},
  outputs: { checkpoint: "checkpoint" },
  recipeSchema,
  executionSchema,
  sources: ({ folder }, baseDirectory) => identifyModelFolder(resolve(baseDirectory, folder)),
  plan: ({ folder }, _, baseDirectory = ".") => planImport(readConfig(resolve(baseDirectory, folder))),
  run: runImport,
};

function planImport(json: Record<string, unknown>): StagePlan {
  // The ids of mask and pad, which the tokenizer may have to tell, do not change what later stages cost.
  const config = fromHuggingFace(json, { maskId: 0, padId: 0 });
  const widthBytes = ["bfloat16", "float16"].includes(String(json.dtype ?? json.torch_dtype)) ? 2 : 4; // transformers 5 says dtype
  const largest = Math.max(...Object.values(parameterShapes(config)).map((shape) => shape.reduce((product, size) => product * size, 1)));
  const count = parameterCount(config);
  return {
    parameterCount: count,
    peakMemoryBytes: PROCESS_BYTES + widthBytes * largest,
    notes: [`weights: ${((widthBytes * count) / 1e9).toFixed(1)} GB, on disk twice until the stage is done`],
    facts: { vocabSize: config.vocabSize, model: toHuggingFace(config) as never },
  };
}

/** Node.js with this stage, 140 MB, and what awaits collection while tensors of some megabytes pass through. */
const PROCESS_BYTES = 190e6;

async function runImport({ recipe, baseDirectory }: StageRequest<Recipe>, context: StageContext): Promise<StageResult> {
  const { config, tokenizer, tensors, close } = await openModelFolder(resolve(baseDirectory, recipe.folder));
  const directory = join(context.scratchDir, "checkpoint");
  await mkdir(directory);
  const { dtype } = tensors[0]!;
  try {
    await writeWeights(directory, watched(tensors, context));
  } finally {
    await close();
  }
  await writeFile(join(directory, "config.json"), `${JSON.stringify(toHuggingFace(config, { dtype }), null, 2)}\n`);
  await writeFile(join(directory, "tokenizer.json"), tokenizer.toJson());
  await writeFile(join(directory, "trainer_state.json"), "{}\n");
  await writeFile(join(directory, "metrics.jsonl"), "");
  const summary = { parameters: parameterCount(config), vocabSize: config.vocabSize, tokens: tokenizer.vocabSize, dtype };
  return { outputs: { checkpoint: { kind: "checkpoint", directory, meta: summary } }, summary };
}

/** Tensors that tell of each one that is read, and of none once the stage is cancelled. */
function watched(tensors: readonly TensorToWrite[], context: StageContext): TensorToWrite[] {
  let step = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    bytes: () => {
      if (context.signal.aborted) throw new StageCancelled("hugging-face");
      context.report({ step: step++, totalSteps: tensors.length, unit: "tensors" });
      return tensor.bytes();
    },
  }));
}
