import { engineAssets } from "@diffucoder/engine";
import type { StageContext, StageDefinition, StageRequest, StageResult } from "@diffucoder/lineage";
import { generateTasks, type TaskSplit } from "@diffucoder/tasks";
import { Tokenizer } from "@diffucoder/tokenizer";
import { loadStart, planFurtherTraining, trainDiffusion } from "@diffucoder/training";
import { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
import { instructionBatches, layOutTask } from "./instruction-batches.ts";

/**
 * Instruction tuning on canvases of fixed length: prompts are noised less and less over the first epoch, then never.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3 (stage 3)
 */
export const instructionTuningStage: StageDefinition<Recipe, Execution> = {
  name: "instruction-tuning",
  packageName: "@diffucoder/instruction-tuning",
  entry: import.meta.filename,
  assets: engineAssets,
  resource: "train",
  inputs: { checkpoint: { kind: "checkpoint" } },
  outputs: { checkpoint: "checkpoint" },
  recipeSchema,
  executionSchema,
  plan: (recipe, { checkpoint }) => planFurtherTraining("instruction-tuning", recipe, checkpoint),
  run: runInstructionTuning,
};

async function runInstructionTuning({ recipe, execution, inputs, seed }: StageRequest<Recipe, Execution>, context: StageContext): Promise<StageResult> {
  const start = await loadStart(context.artifacts, inputs.checkpoint!);
  const tokenizer = Tokenizer.fromJson(start.tokenizerJson);
  const samplesOf = (split: TaskSplit, count: number) =>
    generateTasks({ families: recipe.tasks.families, split, count, seed }).map((task) => layOutTask(task, tokenizer, start.model.padId, recipe.canvasLength));
  const source = instructionBatches({
    seed,
    recipe,
    model: start.model,
    train: samplesOf("train", recipe.tasks.count),
    validation: samplesOf("selection", VALIDATION_TASKS),
  });
  return trainDiffusion({ ...start, stage: "instruction-tuning", source, recipe, execution, keepSteps: recipe.keepSteps }, context);
}

/** From the selection split: the reported, held-out one stays unseen until evaluation. */
const VALIDATION_TASKS = 64;
