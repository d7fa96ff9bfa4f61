import type { JsonObject, StagePlan } from "@diffucoder/lineage";
import { fromHuggingFace, parameterCount, trainingFlopsPerToken, trainingMemoryBytes, type ModelConfig } from "@diffucoder/model";
import type { TrainingRecipe } from "./config.ts";

/** What a training stage costs. */
export function planTraining(model: ModelConfig, recipe: Pick<TrainingRecipe, "steps" | "batchSize" | "canvasLength" | "rollback">, facts: JsonObject): StagePlan {
  const { steps, batchSize, canvasLength, rollback } = recipe;
  const tokens = steps * batchSize * canvasLength;
  return {
    tokens,
    flops: tokens * trainingFlopsPerToken(model, canvasLength),
    parameterCount: parameterCount(model),
    peakMemoryBytes: trainingMemoryBytes(model, batchSize * canvasLength) + (rollback === undefined ? 0 : keptStateBytes(model)),
    facts,
  };
}

/** Weights and both moments, in fp32. */
const keptStateBytes = (model: ModelConfig): number => 3 * 4 * parameterCount(model);

/** The model that an input's plan promises; undefined when the input comes from outside the recipe. */
export function plannedModel(input: StagePlan | undefined): ModelConfig | undefined {
  return input?.facts?.model === undefined ? undefined : fromHuggingFace(input.facts.model);
}
