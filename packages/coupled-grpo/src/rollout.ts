/** One sampled completion with everything needed to judge it and to draw it again. */
export interface Rollout {
  readonly taskId: string;
  /** Index of the completion within its round; with the round it keys the decode's random stream. */
  readonly sample: number;
  readonly round: number;
  /** The whole canvas: prompt, completion, padding. */
  readonly tokens: Int32Array; // [T]
  readonly promptLength: number;
  /** Completion tokens up to and including the first end marker; the whole rest of the canvas when there is none. */
  readonly liveLength: number;
  /** Denoising step that fixed each completion position. */
  readonly trace: Int32Array; // [T - promptLength]
  readonly completion: string;
}

/** Number of completion tokens up to and including the first end marker. */
export function liveLengthOf(tokens: Int32Array, promptLength: number, endId: number): number {
  const end = tokens.indexOf(endId, promptLength);
  return (end === -1 ? tokens.length : end + 1) - promptLength;
}
