// Axes: T canvas, A answer (the positions that start as masks).
import { stream, type RandomStream } from "@diffucoder/random";
import type { DecodeOptions } from "./decode-options.ts";
import { ModelError } from "./errors.ts";
import type { FixedPosition } from "./position-choice.ts";

export interface DecodedCanvas {
  readonly tokens: Int32Array; // [T]
  readonly promptLength: number;
  /** Denoising step (0-based) that fixed each position of the answer; -1 where decoding stopped before. */
  readonly trace: Int32Array; // [A]
  /** How sure the model was of each position of the answer when it was fixed; NaN where decoding stopped before. */
  readonly confidence: Float64Array; // [A]
  /**
   * Entropy, in nats, of what the model says of each position of the answer while all are masked: at temperature 1, with
   * no token cut. NaN where the first pass did not look: behind the first block of a block cache. Undefined unless asked for.
   */
  readonly firstEntropy: Float64Array | undefined; // [A]
  /** Positions of the answer in the order they were fixed; within a step, most confident first (`origin`: from left to right). */
  readonly order: readonly number[];
}

/** A canvas that is being decoded. */
export class OpenCanvas {
  readonly tokens: Int32Array; // [T]
  readonly promptLength: number;
  readonly answerLength: number;
  readonly draws: RandomStream;
  readonly #trace: Int32Array; // [A]
  readonly #confidence: Float64Array; // [A]
  readonly #order: number[] = [];
  readonly #keepsFirstPass: boolean;
  #firstEntropy: Float64Array | undefined; // [A]
  readonly #stop: DecodeOptions["stop"];
  #step = 0;
  #isStopped = false;

  /** @throws ModelError `PromptTooLong` when what is given leaves no room, or more than the window */
  constructor(shape: { readonly canvasLength: number; readonly windowLength: number }, options: DecodeOptions, index: number) {
    const prompt = options.prompts[index]!;
    const suffix = options.suffixes?.[index] ?? [];
    const { canvasLength, windowLength } = shape;
    const most = canvasLength - 1 - suffix.length;
    if (prompt.length < 1 || prompt.length > most || prompt.length < canvasLength - windowLength) {
      const behind = suffix.length === 0 ? "" : ` before a suffix of ${suffix.length}`;
      throw new ModelError("PromptTooLong", `prompt ${index}: expected ${Math.max(1, canvasLength - windowLength)} to ${most} tokens${behind}, found ${prompt.length}`);
    }
    this.tokens = new Int32Array(canvasLength).fill(options.maskId);
    this.tokens.set(Array.from(prompt));
    this.tokens.set(Array.from(suffix), canvasLength - suffix.length);
    this.promptLength = prompt.length;
    this.answerLength = canvasLength - prompt.length - suffix.length;
    this.#trace = new Int32Array(this.answerLength).fill(-1);
    this.#confidence = new Float64Array(this.answerLength).fill(NaN);
    this.draws = stream(options.streamOf(index));
    this.#stop = options.stop;
    this.#keepsFirstPass = options.keepFirstPass === true;
  }

  /** Positions from `start` on, up to `end`, that are still masked. */
  openPositions(start: number, end: number): number[] {
    const positions: number[] = [];
    if (this.#isStopped) return positions;
    for (let position = start; position < end; position++) if (this.#trace[position - this.promptLength] === -1) positions.push(position);
    return positions;
  }

  /** Whether the next reading is the first, and to be kept. */
  get awaitsFirstPass(): boolean {
    return this.#keepsFirstPass && this.#firstEntropy === undefined;
  }

  /** Keeps the entropies of the first pass, of the positions that it read. */
  keepFirstPass(positions: readonly number[], entropyOf: (position: number) => number): void {
    this.#firstEntropy = new Float64Array(this.answerLength).fill(NaN);
    for (const position of positions) this.#firstEntropy[position - this.promptLength] = entropyOf(position);
  }

  /** Ends a denoising step. */
  fix(positions: readonly FixedPosition[]): void {
    for (const { position, token, confidence } of positions) {
      const offset = position - this.promptLength;
      this.tokens[position] = token;
      this.#trace[offset] = this.#step;
      this.#confidence[offset] = confidence;
      this.#order.push(offset);
    }
    this.#step += 1;
    if (this.#stop !== undefined && this.#hasEnd(this.#stop.endId)) this.#finish(this.#stop.fillId);
  }

  result(): DecodedCanvas {
    return { tokens: this.tokens, promptLength: this.promptLength, trace: this.#trace, confidence: this.#confidence, firstEntropy: this.#firstEntropy, order: this.#order };
  }

  #hasEnd(endId: number): boolean {
    for (let offset = 0; offset < this.answerLength && this.#trace[offset] !== -1; offset++) {
      if (this.tokens[this.promptLength + offset] === endId) return true;
    }
    return false;
  }

  #finish(fillId: number): void {
    this.#isStopped = true;
    this.#trace.forEach((step, offset) => {
      if (step === -1) this.tokens[this.promptLength + offset] = fillId;
    });
  }
}
