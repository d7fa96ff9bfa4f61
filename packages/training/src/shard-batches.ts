// Axes: B canvases, T tokens per canvas.
import type { ShardSet } from "@diffucoder/formats";
import { annealedAttentionBias, annealingRatio, noiseCanvas } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import type { BatchSource, DiffusionBatch } from "./batch-source.ts";
import type { TrainingRecipe } from "./config.ts";
import { UnusableData } from "./errors.ts";
import { drawNoiseLevels, fixedNoiseLevels } from "./noise-levels.ts";
import { sampleOrder } from "./sample-order.ts";

/** A canvas of the packed token stream, and the documents it holds parts of. */
export interface PackedSample {
  readonly tokens: Int32Array; // [T]
  readonly documents: readonly string[];
}

/** Sample `index` of a shard set: tokens [index * T, (index + 1) * T) of its stream. */
export async function readPackedSample(shards: ShardSet, index: number, canvasLength: number): Promise<PackedSample> {
  const start = index * canvasLength;
  const { first, last } = shards.documentsIn(start, canvasLength);
  return { tokens: Int32Array.from(await shards.readTokens(start, canvasLength)), documents: shards.docIds.slice(first, last + 1) };
}

/**
 * Batches of packed documents, every token maskable. The remainder of the stream that does not fill a canvas is left out.
 *
 * @param annealingSteps steps over which attention opens from causal to full; 0 trains with full attention throughout
 * @throws UnusableData when a split does not fill one canvas
 */
export function shardBatches(options: {
  readonly stage: string;
  readonly seed: number;
  readonly recipe: TrainingRecipe;
  readonly maskId: number;
  readonly train: ShardSet;
  readonly validation: ShardSet;
  readonly annealingSteps: number;
}): BatchSource {
  const { stage, seed, recipe, maskId, train, validation, annealingSteps } = options;
  const { batchSize, canvasLength } = recipe;
  const orderOf = (shards: ShardSet, split: string) => {
    const sampleCount = Math.floor(shards.tokenCount / canvasLength);
    if (sampleCount > 0) return sampleOrder({ seed, stage: `${stage} ${split}`, root: shards.manifest.root, sampleCount });
    throw new UnusableData(`shards, ${split} split: expected at least ${canvasLength} tokens (canvasLength), found ${shards.tokenCount}. Add sources, or shorten the canvas.`);
  };
  const trainingOrder = orderOf(train, "train");
  const validationOrder = orderOf(validation, "validation");

  const batchOf = async (shards: ShardSet, indices: readonly number[], noiseLevels: readonly number[], step: number, purpose: string): Promise<DiffusionBatch> => {
    const samples = await Promise.all(indices.map((index) => readPackedSample(shards, index, canvasLength)));
    const canvases = samples.map(({ tokens }, sample) =>
      noiseCanvas({ tokens, isMaskable: () => true, noiseLevel: noiseLevels[sample]!, draws: stream({ seed, stage, step, sample, purpose }), maskId }),
    );
    return {
      originals: samples.map(({ tokens }) => tokens),
      canvases,
      maskableCount: batchSize * (canvasLength - 1), // position 0 is predicted by no row
      documents: [...new Set(samples.flatMap(({ documents }) => documents))],
    };
  };

  return {
    annealed: annealingRatio(0, annealingSteps) < 1,
    trainingBatch: async (step) => {
      const indices = Array.from({ length: batchSize }, (_, i) => trainingOrder((step - 1) * batchSize + i));
      const levels = drawNoiseLevels(batchSize, recipe.noise, stream({ seed, stage, step, purpose: "noise levels" }));
      const batch = await batchOf(train, indices, levels, step, "noise");
      const ratio = annealingRatio(step - 1, annealingSteps);
      if (ratio === 1) return batch;
      return { ...batch, attentionBias: annealedAttentionBias(canvasLength, ratio, stream({ seed, stage, step, purpose: "attention" })) };
    },
    validationBatch: (index) => {
      const indices = Array.from({ length: batchSize }, (_, i) => validationOrder(index * batchSize + i));
      return batchOf(validation, indices, fixedNoiseLevels(batchSize, recipe.noise.smallest), index, "validation noise");
    },
  };
}
