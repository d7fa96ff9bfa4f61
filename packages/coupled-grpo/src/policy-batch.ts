// Axes: B completions, C completion window, T canvas, P passes, R reads.
import type { Estimator } from "./config.ts";
import { drawHiddenPrompt, drawPasses, estimateShape, type MaskSeed } from "./estimate.ts";
import type { Rollout } from "./rollout.ts";

/** Everything the policy graph needs to know about one round's completions under one draw of the masks. */
export interface PolicyBatch {
  /** Every completion as the first pass hides it, then as the second does, and so on. */
  readonly tokens: Int32Array; // [PB, T]
  /** Rows of the canvases that a token's log-probability is read from, the first of each token, then the second, and so on. */
  readonly rows: Int32Array; // [RBC]
  /** What each of them counts. */
  readonly weights: Float32Array; // [RBC]
  readonly targets: Int32Array; // [BC]
  /** 1 up to and including the end of the answer, where some pass hides the token. */
  readonly live: Float32Array; // [BC]
  /** Share of the answers' tokens that some pass hides: 1 but for estimators that leave out some. */
  readonly coverage: number;
  readonly maskSeeds: readonly MaskSeed[]; // [B]
}

/**
 * Lays out one round for the policy graph. The window is the last C positions of the canvas; positions of it
 * that still belong to a longer prompt keep `live` 0 and are never learned from.
 */
export function layOutPolicyBatch(options: {
  readonly rollouts: readonly Rollout[];
  readonly windowLength: number;
  readonly maskId: number;
  readonly estimator: Estimator;
  readonly seed: number;
  readonly step: number;
}): PolicyBatch {
  const { rollouts, windowLength, maskId, estimator } = options;
  const { passes, reads } = estimateShape(estimator);
  const canvasLength = rollouts[0]!.tokens.length;
  const batch = rollouts.length;
  const count = batch * windowLength;
  const windowStart = canvasLength - windowLength;
  const tokens = new Int32Array(passes * batch * canvasLength);
  const rows = new Int32Array(reads * count);
  const weights = new Float32Array(reads * count);
  const targets = new Int32Array(count);
  const live = new Float32Array(count);
  let liveLength = 0;

  const maskSeeds = rollouts.map((rollout, sample): MaskSeed => {
    const { promptLength } = rollout;
    const maskSeed = { seed: options.seed, step: options.step, sample };
    const drawn = drawPasses(estimator, { length: windowLength, start: promptLength - windowStart }, maskSeed);
    const hiddenPrompt = drawHiddenPrompt(estimator, promptLength, maskSeed);
    const canvasOf = (pass: number) => (pass * batch + sample) * canvasLength;
    drawn.forEach(({ hidden }, pass) => {
      const canvas = tokens.subarray(canvasOf(pass), canvasOf(pass) + canvasLength);
      canvas.set(rollout.tokens);
      hiddenPrompt.forEach((isHidden, position) => isHidden && (canvas[position] = maskId));
      for (let position = promptLength; position < canvasLength; position++) if (hidden[position - windowStart]) canvas[position] = maskId;
    });
    for (let offset = 0; offset < windowLength; offset++) {
      const position = windowStart + offset;
      const index = sample * windowLength + offset;
      const readFrom = drawn.flatMap(({ weight }, pass) => (weight[offset]! > 0 ? [{ pass, weight: weight[offset]! }] : []));
      targets[index] = rollout.tokens[position]!;
      for (let read = 0; read < reads; read++) {
        const { pass, weight } = readFrom[read] ?? { pass: 0, weight: 0 };
        rows[read * count + index] = canvasOf(pass) + position - 1; // the head at row i - 1 predicts position i (the AR shift)
        weights[read * count + index] = weight;
      }
      if (position >= promptLength && position < promptLength + rollout.liveLength && readFrom.length > 0) live[index] = 1;
    }
    liveLength += rollout.liveLength;
    return maskSeed;
  });
  return { tokens, rows, weights, targets, live, coverage: live.reduce((sum, isLive) => sum + isLive, 0) / liveLength, maskSeeds };
}
