import { engineAssets } from "@diffucoder/engine";
import type { StageContext, StageDefinition, StageRequest, StageResult } from "@diffucoder/lineage";
import { checkTokenizer, loadStart, openTrainingShards, planFurtherTraining, shardBatches, trainDiffusion } from "@diffucoder/training";
import { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";

/**
 * Mid-training: goes on with full attention on a smaller, better mixture.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3 (stage 2, on OpenCoder's annealing corpus)
 */
export const annealingStage: StageDefinition<Recipe, Execution> = {
  name: "annealing",
  packageName: "@diffucoder/annealing",
  entry: import.meta.filename,
  assets: engineAssets,
  resource: "train",
  inputs: { shards: { kind: "shards" }, checkpoint: { kind: "checkpoint" } },
  outputs: { checkpoint: "checkpoint" },
  recipeSchema,
  executionSchema,
  plan: (recipe, { checkpoint }) => planFurtherTraining("annealing", recipe, checkpoint),
  run: runAnnealing,
};

async function runAnnealing({ recipe, execution, inputs, seed }: StageRequest<Recipe, Execution>, context: StageContext): Promise<StageResult> {
  const start = await loadStart(context.artifacts, inputs.checkpoint!);
  const shards = await openTrainingShards(context.artifacts, inputs.shards!);
  try {
    checkTokenizer(shards, start.tokenizerJson);
    const source = shardBatches({
      stage: "annealing",
      seed,
      recipe,
      maskId: start.model.maskId,
      train: shards.train,
      validation: shards.validation,
      annealingSteps: 0,
    });
    return await trainDiffusion({ ...start, stage: "annealing", source, recipe, execution }, context);
  } finally {
    await shards.close();
  }
}
