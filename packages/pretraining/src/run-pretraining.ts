import { engineAssets } from "@diffucoder/engine";
import { InvalidRecipe, type ArtifactRef, type StageContext, type StageDefinition, type StagePlan, type StageRequest, type StageResult } from "@diffucoder/lineage";
import { initialParameters, toHuggingFace, type ModelConfig } from "@diffucoder/model";
import {
  causalBatches,
  checkTokenizer,
  loadStart,
  openTrainingShards,
  planTraining,
  plannedModel,
  shardBatches,
  trainDiffusion,
  type StartingModel,
  type TrainingShards,
} from "@diffucoder/training";
import { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";

/**
 * Adaptation pre-training: turns packed documents into a masked-diffusion model, from new weights or from a checkpoint,
 * while attention opens from causal to full. With the autoregressive objective it makes the model that adaptation begins with.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3 (stage 1); attention-mask annealing of arXiv:2410.17891, section 3.2
 */
export const pretrainingStage: StageDefinition<Recipe, Execution> = {
  name: "pretraining",
  packageName: "@diffucoder/pretraining",
  entry: import.meta.filename,
  assets: engineAssets,
  resource: "train",
  inputs: { shards: { kind: "shards" }, checkpoint: { kind: "checkpoint", optional: true } },
  outputs: { checkpoint: "checkpoint" },
  recipeSchema,
  executionSchema,
  plan: planPretraining,
  run: runPretraining,
};

async function runPretraining({ recipe, execution, inputs, seed }: StageRequest<Recipe, Execution>, context: StageContext): Promise<StageResult> {
  refuseArchitectureOf(inputs.checkpoint, recipe);
  const shards = await openTrainingShards(context.artifacts, inputs.shards!);
  try {
    const start = inputs.checkpoint === undefined ? newModel(recipe, shards, seed) : await loadStart(context.artifacts, inputs.checkpoint);
    checkTokenizer(shards, start.tokenizerJson);
    const packed = { stage: "pretraining", seed, recipe, train: shards.train, validation: shards.validation };
    const source =
      recipe.objective === "autoregressive"
        ? causalBatches(packed)
        : shardBatches({ ...packed, maskId: start.model.maskId, annealingSteps: recipe.annealingSteps });
    // A checkpoint's metrics and history hold both, each counted from step 1.
    const stage = recipe.objective === "autoregressive" ? "autoregressive-pretraining" : "pretraining";
    return await trainDiffusion({ ...start, stage, source, recipe, execution }, context);
  } finally {
    await shards.close();
  }
}

/** A checkpoint has an architecture of its own; another one in the recipe would be ignored without a word. */
function refuseArchitectureOf(checkpoint: ArtifactRef | StagePlan | undefined, { architecture }: Recipe): void {
  if (checkpoint === undefined || architecture === undefined) return;
  throw new InvalidRecipe("stage pretraining", ["expected either `architecture` in the recipe or a `checkpoint` input, found both"]);
}

function newModel(recipe: Recipe, { tokenizer, tokenizerJson }: TrainingShards, seed: number): StartingModel {
  const model = modelOf(recipe, {
    vocabSize: tokenizer.vocabSize,
    maskId: tokenizer.id("<|mask|>"),
    padId: tokenizer.id("<|dlm_pad|>"),
  });
  return { model, parameters: initialParameters(model, seed), tokenizerJson, history: [], metrics: [] };
}

function modelOf(recipe: Recipe, vocabulary: { vocabSize: number; maskId: number; padId: number }): ModelConfig {
  if (recipe.architecture === undefined) {
    throw new InvalidRecipe("stage pretraining", ["expected either `architecture` in the recipe or a `checkpoint` input, found neither"]);
  }
  return { ...recipe.architecture, ...vocabulary, maxPositions: recipe.canvasLength };
}

function planPretraining(recipe: Recipe, inputs: Readonly<Record<string, StagePlan>>): StagePlan {
  refuseArchitectureOf(inputs.checkpoint, recipe);
  const model = plannedModel(inputs.checkpoint) ?? plannedNewModel(recipe, inputs.shards);
  return planTraining(model, recipe, { model: toHuggingFace(model) as never });
}

function plannedNewModel(recipe: Recipe, shards: StagePlan | undefined): ModelConfig {
  const vocabSize = shards?.facts?.vocabSize;
  if (typeof vocabSize !== "number") throw new InvalidRecipe("stage pretraining", ["expected an input `shards` whose plan tells its vocabSize, found none"]);
  // Which ids the specials get does not change what the stage costs.
  return modelOf(recipe, { vocabSize, maskId: 0, padId: 0 });
}
