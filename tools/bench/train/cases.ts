import { diffusionFeeds, noiseCanvas, type ModelConfig } from "@diffucoder/model";
import { stream } from "@diffucoder/random";

/** One training step to be timed: everything that either side needs to know. */
export interface Case {
  readonly name: string;
  readonly model: ModelConfig;
  readonly architecture: Pick<ModelConfig, "hiddenSize" | "intermediateSize" | "layers" | "heads" | "kvHeads">;
  readonly vocabSize: number;
  readonly batchSize: number;
  readonly canvasLength: number;
  readonly rowCapacity: number;
  readonly threads: number;
  readonly variant: string;
  readonly feeds: {
    readonly tokens: readonly number[];
    readonly rows: readonly number[];
    readonly targets: readonly number[];
    readonly weights: readonly number[];
    readonly isPresent: readonly number[];
    readonly maskableCount: number;
  };
}

/** Sizes by name: the quickstart's pretraining step, and the 12.6M parameters of a run of an hour or so. */
export const SIZES = {
  quickstart: { hiddenSize: 128, intermediateSize: 320, layers: 4, heads: 4, kvHeads: 2, vocabSize: 1024, batchSize: 16, canvasLength: 64 },
  medium: { hiddenSize: 384, intermediateSize: 1024, layers: 6, heads: 6, kvHeads: 2, vocabSize: 8192, batchSize: 16, canvasLength: 256 },
} as const;

export type SizeName = keyof typeof SIZES;

/** The same tokens, noise and masked rows for both sides, about half of the tokens hidden. */
export function caseOf(name: SizeName, variant: string, threads: number): Case {
  const { vocabSize, batchSize, canvasLength, ...architecture } = SIZES[name];
  const model: ModelConfig = {
    ...architecture,
    tied: true,
    ropeTheta: 10_000,
    normEpsilon: 1e-6,
    initializerRange: 0.02,
    vocabSize,
    maxPositions: canvasLength,
    maskId: 0,
    padId: 1,
  };
  const draws = stream({ seed: 1, stage: "bench", purpose: "tokens" });
  const originals = Array.from({ length: batchSize }, () => Int32Array.from({ length: canvasLength }, () => 2 + draws.integer(vocabSize - 2)));
  const canvases = originals.map((tokens, sample) =>
    noiseCanvas({ tokens, isMaskable: () => true, noiseLevel: (sample + 0.5) / batchSize, draws: stream({ seed: 1, stage: "bench", sample, purpose: "noise" }), maskId: 0 }),
  );
  const rowCapacity = Math.ceil(batchSize * canvasLength * 0.5625);
  const feeds = diffusionFeeds({ canvases, originals, maskableCount: batchSize * (canvasLength - 1), rowCapacity });
  return {
    name,
    model,
    architecture,
    vocabSize,
    batchSize,
    canvasLength,
    rowCapacity,
    threads,
    variant,
    feeds: {
      tokens: [...feeds.tokens],
      rows: [...feeds.rows],
      targets: [...feeds.targets],
      weights: [...feeds.weights],
      isPresent: [...feeds.isPresent],
      maskableCount: feeds.maskableCount[0]!,
    },
  };
}

/** Floating-point operations of the matrix products of one step, forward and backward: what each side has to multiply at least. */
export function stepFlops({ model, batchSize, canvasLength, rowCapacity }: Case): number {
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, vocabSize } = model;
  const width = hiddenSize / heads;
  const tokens = batchSize * canvasLength;
  const attention = tokens * (hiddenSize * (heads + 2 * kvHeads) * width + 2 * canvasLength * heads * width);
  const afterAttention = heads * width * hiddenSize + 3 * hiddenSize * intermediateSize;
  const multiplyAdds = layers * attention + ((layers - 1) * tokens + rowCapacity) * afterAttention + rowCapacity * hiddenSize * vocabSize;
  return 3 * 2 * multiplyAdds; // the backward pass multiplies twice what the forward pass does
}
