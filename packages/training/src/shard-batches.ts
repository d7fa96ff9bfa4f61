// Axes: B canvases, T tokens per canvas.
import type { ShardSet } from "@diffucoder/formats";
import { annealedAttentionBias, annealingRatio, causalAttentionBias, closeFrom, noiseCanvas, type NoisedCanvas } from "@diffucoder/model";
import { stream } from "@diffucoder/random";
import type { BatchSource, DiffusionBatch } from "./batch-source.ts";
import type { PackedRecipe } from "./config.ts";
import { UnusableData } from "./errors.ts";
import { drawNoiseLevels, fixedNoiseLevels } from "./noise-levels.ts";
import { sampleOrder } from "./sample-order.ts";
import { drawCleanPrefix, drawEnd } from "./sequence-lengths.ts";

/** A canvas of the packed token stream, and the documents it holds parts of. */
export interface PackedSample {
  readonly tokens: Int32Array; // [T]
  readonly documents: readonly string[];
}

/** Sample `index` of a shard set: tokens [index * T, (index + 1) * T) of its stream. */
export function readPackedSample(shards: ShardSet, index: number, canvasLength: number, into = new Uint32Array(canvasLength)): PackedSample {
  const start = index * canvasLength;
  const { first, last } = shards.documentsIn(start, canvasLength);
  const { buffer, byteOffset, length } = shards.readTokens(start, canvasLength, into);
  return { tokens: new Int32Array(buffer, byteOffset, length), documents: shards.docIds.slice(first, last + 1) };
}

export interface ShardBatchesOptions {
  readonly stage: string;
  readonly seed: number;
  readonly recipe: PackedRecipe;
  readonly maskId: number;
  readonly train: ShardSet;
  readonly validation: ShardSet;
  readonly annealingSteps: number;
}

/**
 * Batches of packed documents, every token maskable but those of a clean prefix. The remainder of the stream that does not
 * fill a canvas is left out.
 *
 * @param annealingSteps steps over which attention opens from causal to full; 0 trains with full attention throughout
 * @throws UnusableData when a split does not fill one canvas
 */
export function shardBatches(options: ShardBatchesOptions): BatchSource {
  const { stage, seed, recipe, maskId, annealingSteps } = options;
  const { batchSize, canvasLength, cutShare, cleanPrefixShare } = recipe;
  const { trainingSamples, validationSamples, recheck } = packedSamples(options);

  /** @param firstMaskable of each sample; from `end` on nothing is */
  const batchOf = (samples: readonly PackedSample[], noiseLevels: readonly number[], key: { step: number; purpose: string }, firstMaskable: readonly number[], end?: number): DiffusionBatch => {
    const canvases = samples.map(({ tokens }, sample): NoisedCanvas => {
      const isMaskable = (position: number) => position >= firstMaskable[sample]! && position < (end ?? canvasLength);
      const canvas = noiseCanvas({ tokens, isMaskable, noiseLevel: noiseLevels[sample]!, draws: stream({ seed, stage, sample, ...key }), maskId });
      return end === undefined ? canvas : { ...canvas, end };
    });
    return {
      originals: samples.map(({ tokens }) => tokens),
      canvases,
      maskableCount: firstMaskable.reduce((sum, first) => sum + (end ?? canvasLength) - Math.max(1, first), 0), // position 0 is predicted by no row
      documents: documentsOf(samples),
    };
  };

  return {
    annealed: annealingRatio(0, annealingSteps) < 1 || cutShare > 0,
    trainingBatch: async (step) => {
      const samples = trainingSamples(step);
      const levels = drawNoiseLevels(batchSize, recipe.noise, stream({ seed, stage, step, purpose: "noise levels" }));
      const end = drawEnd(canvasLength, cutShare, stream({ seed, stage, step, purpose: "cut" }));
      const prefixes = stream({ seed, stage, step, purpose: "clean prefix" });
      const firstMaskable = samples.map(() => (end === undefined ? drawCleanPrefix(canvasLength, cleanPrefixShare, prefixes) : 0));
      const batch = batchOf(samples, levels, { step, purpose: "noise" }, firstMaskable, end);
      const ratio = annealingRatio(step - 1, annealingSteps);
      if (ratio === 1 && end === undefined) return batch;
      const attentionBias = annealedAttentionBias(canvasLength, ratio, stream({ seed, stage, step, purpose: "attention" }));
      return { ...batch, attentionBias: end === undefined ? attentionBias : closeFrom(end, attentionBias) };
    },
    validationBatch: async (index) => {
      const samples = validationSamples(index);
      return batchOf(samples, fixedNoiseLevels(batchSize, recipe.noise.smallest), { step: index, purpose: "validation noise" }, samples.map(() => 0));
    },
    recheck,
  };
}

/**
 * Batches for next-token prediction: no token is replaced, causal attention hides each from the rows before it, and all but
 * the first count alike. The diffusion loss of such a batch is the mean of
 *
 * -log p(x_n | x_0 ... x_(n-1)), n = 1 ... T - 1
 *
 * so that a model trained on them can be adapted by attention annealing: rows go on predicting the token behind them.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3 (adaptation begins with an autoregressive model)
 * @throws UnusableData when a split does not fill one canvas
 */
export function causalBatches(options: Omit<ShardBatchesOptions, "maskId" | "annealingSteps">): BatchSource {
  const { canvasLength } = options.recipe;
  const { trainingSamples, validationSamples, recheck } = packedSamples(options);
  const masked = Array.from({ length: canvasLength - 1 }, (_, i) => i + 1);
  const attentionBias = causalAttentionBias(canvasLength);
  const batchOf = (samples: readonly PackedSample[]): DiffusionBatch => ({
    originals: samples.map(({ tokens }) => tokens),
    canvases: samples.map(({ tokens }) => ({ tokens, masked, noiseLevel: 1 })),
    maskableCount: samples.length * (canvasLength - 1),
    attentionBias,
    documents: documentsOf(samples),
  });
  return {
    annealed: true,
    trainingBatch: async (step) => batchOf(trainingSamples(step)),
    validationBatch: async (index) => batchOf(validationSamples(index)),
    recheck,
  };
}

/** The samples of each batch of both splits, in the order that seed, stage and data decide. */
function packedSamples({ stage, seed, recipe, train, validation }: Omit<ShardBatchesOptions, "maskId" | "annealingSteps">) {
  const { batchSize, canvasLength } = recipe;
  const reader = (shards: ShardSet, split: string) => {
    const sampleCount = Math.floor(shards.tokenCount / canvasLength);
    if (sampleCount === 0) {
      throw new UnusableData(`shards, ${split} split: expected at least ${canvasLength} tokens (canvasLength), found ${shards.tokenCount}. Add sources, or shorten the canvas.`);
    }
    const order = sampleOrder({ seed, stage: `${stage} ${split}`, root: shards.manifest.root, sampleCount });
    return (batch: number) => {
      const tokens = new Uint32Array(batchSize * canvasLength); // small arrays are dear to make
      return Array.from({ length: batchSize }, (_, i) => readPackedSample(shards, order(batch * batchSize + i), canvasLength, tokens.subarray(i * canvasLength, (i + 1) * canvasLength)));
    };
  };
  const readTraining = reader(train, "train");
  return {
    trainingSamples: (step: number) => readTraining(step - 1),
    validationSamples: reader(validation, "validation"),
    recheck: async () => {
      await train.recheck();
      await validation.recheck();
    },
  };
}

const documentsOf = (samples: readonly PackedSample[]): string[] => [...new Set(samples.flatMap(({ documents }) => documents))];
