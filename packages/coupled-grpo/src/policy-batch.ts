// Axes: B completions, C completion window, T canvas.
import { drawCoupledMasks, type MaskSeed } from "./coupled-masks.ts";
import type { Rollout } from "./rollout.ts";

/** Everything the policy graph needs to know about one round's completions under one draw of the masks. */
export interface PolicyBatch {
  /** Fully masked canvases, then those under the first masks, then those under the complements. */
  readonly tokens: Int32Array; // [3B, T]
  /** Hidden row that predicts each token: first from the fully masked canvas, then from whichever of the pair hides it. */
  readonly rows: Int32Array; // [2BC]
  readonly targets: Int32Array; // [BC]
  readonly live: Float32Array; // [BC]
  readonly maskSeeds: readonly MaskSeed[]; // [B]
}

/**
 * Lays out one round for the policy graph. The window is the last C positions of the canvas; positions of it
 * that still belong to a longer prompt keep `live` 0 and are never masked.
 */
export function layOutPolicyBatch(options: {
  readonly rollouts: readonly Rollout[];
  readonly windowLength: number;
  readonly maskId: number;
  readonly noiseRange: readonly [number, number];
  readonly seed: number;
  readonly step: number;
}): PolicyBatch {
  const { rollouts, windowLength, maskId } = options;
  const canvasLength = rollouts[0]!.tokens.length;
  const batch = rollouts.length;
  const windowStart = canvasLength - windowLength;
  const tokens = new Int32Array(3 * batch * canvasLength);
  const rows = new Int32Array(2 * batch * windowLength);
  const targets = new Int32Array(batch * windowLength);
  const live = new Float32Array(batch * windowLength);
  const maskSeeds: MaskSeed[] = [];

  rollouts.forEach((rollout, sample) => {
    const maskSeed = { seed: options.seed, step: options.step, sample };
    maskSeeds.push(maskSeed);
    const { first } = drawCoupledMasks(windowLength, options.noiseRange, maskSeed);
    const canvasOf = (copy: number) => (copy * batch + sample) * canvasLength;
    for (const copy of [FULL, FIRST, COMPLEMENT]) tokens.set(rollout.tokens, canvasOf(copy));

    for (let offset = 0; offset < windowLength; offset++) {
      const position = windowStart + offset;
      const index = sample * windowLength + offset;
      const hiddenBy = first[offset] === 1 ? FIRST : COMPLEMENT;
      targets[index] = rollout.tokens[position]!;
      // The head at row i - 1 predicts position i (the AR shift).
      rows[index] = canvasOf(FULL) + position - 1;
      rows[batch * windowLength + index] = canvasOf(hiddenBy) + position - 1;
      if (position < rollout.promptLength) continue;
      tokens[canvasOf(FULL) + position] = maskId;
      tokens[canvasOf(hiddenBy) + position] = maskId;
      if (position < rollout.promptLength + rollout.liveLength) live[index] = 1;
    }
  });
  return { tokens, rows, targets, live, maskSeeds };
}

const FULL = 0;
const FIRST = 1;
const COMPLEMENT = 2;
