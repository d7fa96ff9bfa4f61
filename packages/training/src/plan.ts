import type { JsonObject, StagePlan } from "@diffucoder/lineage";
import { fromHuggingFace, parameterCount, trainingFlopsPerToken, trainingMemoryBytes, type ModelConfig } from "@diffucoder/model";
import type { TrainingRecipe } from "./config.ts";

/** What a training stage costs. */
export function planTraining(model: ModelConfig, recipe: Pick<TrainingRecipe, "steps" | "batchSize" | "canvasLength">, facts: JsonObject): StagePlan {
  const { steps, batchSize, canvasLength } = recipe;
  const tokens = steps * batchSize * canvasLength;
  return {
    tokens,
    flops: tokens * trainingFlopsPerToken(model, canvasLength),
    parameterCount: parameterCount(model),
    peakMemoryBytes: trainingMemoryBytes(model, batchSize * canvasLength, canvasLength),
    facts,
  };
}

/** The model that an input's plan promises; undefined when the input comes from outside the recipe. */
export function plannedModel(input: StagePlan | undefined): ModelConfig | undefined {
  return input?.facts?.model === undefined ? undefined : fromHuggingFace(input.facts.model);
}
