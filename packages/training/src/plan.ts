import { InvalidRecipe, type JsonObject, type StageContext, type StagePlan } from "@diffucoder/lineage";
import { fromHuggingFace, parameterCount, trainingFlopsPerToken, trainingMemoryBytes, type ModelConfig } from "@diffucoder/model";
import type { TrainingRecipe } from "./config.ts";
import { NotEnoughMemory } from "./errors.ts";
import { microBatchSize } from "./micro-batches.ts";

type PlannedRecipe = Pick<TrainingRecipe, "steps" | "batchSize" | "canvasLength" | "rollback"> & Partial<Pick<TrainingRecipe, "microBatches">>;

/** What a training stage costs. */
export function planTraining(model: ModelConfig, recipe: PlannedRecipe, facts: JsonObject): StagePlan {
  const { steps, batchSize, canvasLength, rollback, microBatches = 1 } = recipe;
  const tokens = steps * batchSize * canvasLength;
  return {
    tokens,
    flops: tokens * trainingFlopsPerToken(model, canvasLength),
    parameterCount: parameterCount(model),
    peakMemoryBytes:
      trainingMemoryBytes(model, microBatchSize({ batchSize, microBatches }) * canvasLength) +
      (rollback === undefined ? 0 : keptStateBytes(model)) +
      (microBatches === 1 ? 0 : gradientSumBytes(model)),
    facts,
  };
}

/**
 * Before a training begins rather than hours into it. On a GPU weights and activations are elsewhere, and not foretold.
 *
 * @throws NotEnoughMemory when the plan is beyond what the process can have
 */
export function refuseWithoutMemory(stage: string, { peakMemoryBytes = 0 }: StagePlan, { memoryBytes, numerics }: Pick<StageContext, "memoryBytes" | "numerics">): void {
  const isOnGpu = /^(sm_|gpu)/.test(numerics.instructionSet);
  if (!isOnGpu && peakMemoryBytes > memoryBytes) throw new NotEnoughMemory(stage, peakMemoryBytes, memoryBytes);
}

/**
 * What a stage costs that trains a checkpoint further.
 *
 * @throws InvalidRecipe when the checkpoint's plan tells no model
 */
export function planFurtherTraining(stage: string, recipe: PlannedRecipe, checkpoint: StagePlan | undefined): StagePlan {
  const model = plannedModel(checkpoint);
  if (model === undefined) throw new InvalidRecipe(`stage ${stage}`, ["expected an input `checkpoint` whose plan tells its model, found none"]);
  return planTraining(model, recipe, checkpoint!.facts!);
}

/** Weights and both moments, in fp32. */
const keptStateBytes = (model: ModelConfig): number => 3 * 4 * parameterCount(model);

const gradientSumBytes = (model: ModelConfig): number => 4 * parameterCount(model);

/** The model that an input's plan promises; undefined when the input comes from outside the recipe. */
export function plannedModel(input: StagePlan | undefined): ModelConfig | undefined {
  return input?.facts?.model === undefined ? undefined : fromHuggingFace(input.facts.model);
}
