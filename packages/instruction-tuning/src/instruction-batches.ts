// Axes: B canvases, T tokens per canvas.
import { InvalidRecipe, sha256 } from "@diffucoder/lineage";
import { noiseCanvas, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import { renderCompletion, renderPrompt, type CodeTask } from "@diffucoder/tasks";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { drawNoiseLevels, fixedNoiseLevels, sampleOrder, type BatchSource, type DiffusionBatch } from "@diffucoder/training";
import type { Recipe } from "./config.ts";

/** An instruction and its answer on a canvas of fixed length, filled up with the pad token, which is learned like any other. */
export interface InstructionSample {
  readonly taskId: string;
  readonly tokens: Int32Array; // [T]
  readonly promptLength: number;
}

/** @throws InvalidRecipe when the canvas is too short for a task */
export function layOutTask(task: CodeTask, tokenizer: Tokenizer, padId: number, canvasLength: number): InstructionSample {
  const prompt = tokenizer.encode(renderPrompt(task), { specials: true });
  const answer = tokenizer.encode(renderCompletion(task), { specials: true });
  const needed = prompt.length + answer.length;
  if (needed > canvasLength) {
    throw new InvalidRecipe("stage instruction-tuning", [`canvasLength: expected at least ${needed} for task ${task.id} (${task.instruction}), found ${canvasLength}`]);
  }
  const tokens = new Int32Array(canvasLength).fill(padId);
  tokens.set(prompt);
  tokens.set(answer, prompt.length);
  return { taskId: task.id, tokens, promptLength: prompt.length };
}

/**
 * Probability that a canvas' prompt is left unnoised at a step: rises from 0 to 1 and stays there.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3 (the condition mask is introduced progressively in the first epoch)
 * @deviation linear, since the paper does not give the curve
 */
export function conditionShare(step: number, stepsPerEpoch: number, conditionEpochs: number): number {
  return conditionEpochs === 0 ? 1 : Math.min(1, (step - 1) / (stepsPerEpoch * conditionEpochs));
}

/** Batches of instructions; validation always keeps prompts visible, as decoding does. */
export function instructionBatches(options: {
  readonly seed: number;
  readonly recipe: Recipe;
  readonly model: ModelConfig;
  readonly train: readonly InstructionSample[];
  readonly validation: readonly InstructionSample[];
}): BatchSource {
  const { seed, recipe, model, train, validation } = options;
  const { batchSize } = recipe;
  const stage = "instruction-tuning";
  const root = sha256(train.map(({ taskId }) => taskId).join("\n"));
  const orderOf = sampleOrder({ seed, stage, root, sampleCount: train.length });

  const batchOf = (samples: readonly InstructionSample[], noiseLevels: readonly number[], isConditioned: (sample: number) => boolean, key: { step: number; purpose: string }): DiffusionBatch => {
    const firstMaskable = samples.map(({ promptLength }, sample) => (isConditioned(sample) ? promptLength : 1));
    const canvases = samples.map(({ tokens }, sample) =>
      noiseCanvas({
        tokens,
        isMaskable: (position) => position >= firstMaskable[sample]!,
        noiseLevel: noiseLevels[sample]!,
        draws: stream({ seed, stage, sample, ...key }),
        maskId: model.maskId,
      }),
    );
    return {
      originals: samples.map(({ tokens }) => tokens),
      canvases,
      maskableCount: samples.reduce((sum, { tokens }, sample) => sum + tokens.length - firstMaskable[sample]!, 0),
      documents: samples.map(({ taskId }) => taskId),
    };
  };

  return {
    annealed: false,
    trainingBatch: async (step) => {
      const samples = Array.from({ length: batchSize }, (_, i) => train[orderOf((step - 1) * batchSize + i)]!);
      const levels = drawNoiseLevels(batchSize, recipe.noise, stream({ seed, stage, step, purpose: "noise levels" }));
      const share = conditionShare(step, train.length / batchSize, recipe.conditionEpochs);
      const conditions = stream({ seed, stage, step, purpose: "condition mask" });
      const conditioned = samples.map(() => conditions.uniform() < share);
      return batchOf(samples, levels, (sample) => conditioned[sample]!, { step, purpose: "noise" });
    },
    validationBatch: async (index) => {
      const samples = Array.from({ length: batchSize }, (_, i) => validation[(index * batchSize + i) % validation.length]!);
      return batchOf(samples, fixedNoiseLevels(batchSize, recipe.noise.smallest), () => true, { step: index, purpose: "validation noise" });
    },
  };
}
