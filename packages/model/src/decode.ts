// Axes: B batch, T canvas, W window (the last W positions of the canvas), V vocabulary.
import { stream, type RandomStream, type StreamKey } from "@diffucoder/random";
import { ModelError } from "./errors.ts";
import type { Sampler } from "./sampler.ts";

export type DecodeAlgorithm = "origin" | "maskgit_plus" | "topk_margin" | "entropy";

export interface DecodeOptions {
  readonly prompts: readonly ArrayLike<number>[];
  readonly maskId: number;
  /** Denoising steps. */
  readonly steps: number;
  /** Which positions are fixed first; see `confidenceOf`. `origin` chooses at random. */
  readonly algorithm: DecodeAlgorithm;
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** Smallest set of tokens with at least this probability; 1 keeps all. */
  readonly topP?: number;
  /** Number of likeliest tokens kept (ties with the last one stay too). */
  readonly topK?: number;
  /** Temperature of the choice of positions; 0 is deterministic. */
  readonly positionTemperature?: number;
  /** Random stream of a prompt: a completion does not depend on what else is in the batch. */
  readonly streamOf: (prompt: number) => StreamKey;
}

export interface DecodedCanvas {
  readonly tokens: Int32Array; // [T]
  readonly promptLength: number;
  /** Denoising step (0-based) that fixed each position behind the prompt. */
  readonly trace: Int32Array; // [T - promptLength]
  /** Positions behind the prompt in the order they were fixed; within a step, most confident first. */
  readonly order: readonly number[];
}

/**
 * Fills masked canvases step by step. Fixed tokens are never masked again.
 *
 * @source Dream's `diffusion_generate`, which DiffuCoder uses (arXiv:2506.20639v2, section 3.1)
 * @deviation the number of positions fixed in a step follows each canvas' own count of masks, not the batch's mean;
 *   equal confidences go to the lowest position; probabilities are computed in double precision
 * @throws ModelError `PromptTooLong` when a prompt leaves no room within the sampler's window
 */
export function decode(sampler: Sampler, options: DecodeOptions): DecodedCanvas[] {
  const canvases: DecodedCanvas[] = [];
  for (let start = 0; start < options.prompts.length; start += sampler.batchSize) {
    const indices = options.prompts.slice(start, start + sampler.batchSize).map((_, i) => start + i);
    canvases.push(...decodeBatch(sampler, options, indices));
  }
  return canvases;
}

interface OpenCanvas {
  readonly tokens: Int32Array;
  readonly promptLength: number;
  readonly trace: Int32Array;
  readonly order: number[];
  readonly draws: RandomStream;
}

function decodeBatch(sampler: Sampler, options: DecodeOptions, indices: readonly number[]): DecodedCanvas[] {
  const open = indices.map((index) => openCanvas(sampler, options, index));
  const times = noiseTimes(options.steps);
  const batch = new Int32Array(sampler.batchSize * sampler.canvasLength);
  for (let step = 0; step < options.steps; step++) {
    open.forEach(({ tokens }, row) => batch.set(tokens, row * sampler.canvasLength));
    const logits = sampler.logitsOf(batch); // [B, W, V]
    open.forEach((canvas, row) => denoise(sampler, options, canvas, { logits, row, step, times }));
  }
  return open.map(({ tokens, promptLength, trace, order }) => ({ tokens, promptLength, trace, order }));
}

function openCanvas(sampler: Sampler, options: DecodeOptions, index: number): OpenCanvas {
  const prompt = options.prompts[index]!;
  const room = sampler.canvasLength - prompt.length;
  if (room < 1 || room > sampler.windowLength || prompt.length < 1) {
    const least = sampler.canvasLength - sampler.windowLength;
    throw new ModelError("PromptTooLong", `prompt ${index}: expected ${Math.max(1, least)} to ${sampler.canvasLength - 1} tokens, found ${prompt.length}`);
  }
  const tokens = new Int32Array(sampler.canvasLength).fill(options.maskId);
  tokens.set(Array.from(prompt));
  const trace = new Int32Array(room).fill(-1);
  return { tokens, promptLength: prompt.length, trace, order: [], draws: stream(options.streamOf(index)) };
}

interface Moment {
  readonly logits: Float32Array;
  readonly row: number;
  readonly step: number;
  readonly times: Float32Array;
}

function denoise(sampler: Sampler, options: DecodeOptions, canvas: OpenCanvas, { logits, row, step, times }: Moment): void {
  const positions = maskedPositions(canvas);
  const isLast = step === options.steps - 1;
  const windowStart = sampler.canvasLength - sampler.windowLength;
  const share = 1 - times[step + 1]! / times[step]!;
  const drawn = positions.map((position) => {
    const offset = (row * sampler.windowLength + position - windowStart) * sampler.vocabSize;
    return { position, ...drawToken(logits.subarray(offset, offset + sampler.vocabSize), options, canvas.draws) };
  });
  let chosen: typeof drawn;
  if (options.algorithm === "origin") {
    chosen = drawn.filter(() => canvas.draws.uniform() < share || isLast);
  } else {
    const count = isLast ? positions.length : Math.floor(positions.length * share);
    chosen = mostConfident(drawn, count, options.positionTemperature ?? 0, canvas.draws);
  }
  for (const { position, token } of chosen) {
    canvas.tokens[position] = token;
    canvas.trace[position - canvas.promptLength] = step;
    canvas.order.push(position - canvas.promptLength);
  }
}

function maskedPositions({ trace, promptLength }: OpenCanvas): number[] {
  const positions: number[] = [];
  trace.forEach((step, offset) => {
    if (step === -1) positions.push(promptLength + offset);
  });
  return positions;
}

/**
 * Noise levels from 1 down to 1e-3, in single precision as the reference computes them: the number of tokens fixed in
 * a step is the floor of a product with them, and sits on the edge of integers.
 */
export function noiseTimes(steps: number): Float32Array {
  const last = Math.fround(1e-3);
  const width = Math.fround(Math.fround(last - 1) / steps);
  // As torch.linspace: counted from the nearer end.
  return Float32Array.from({ length: steps + 1 }, (_, i) =>
    i < (steps + 1) / 2 ? Math.fround(1 + Math.fround(width * i)) : Math.fround(last - Math.fround(width * (steps - i))),
  );
}

interface DrawnToken {
  readonly token: number;
  readonly confidence: number;
}

/** Draws one token and says how sure the model is of it. */
function drawToken(logits: Float32Array, options: DecodeOptions, draws: RandomStream): DrawnToken {
  const probs = filteredProbs(logits, options);
  const token = options.temperature === 0 ? indexOfLargest(probs) : drawIndex(probs, draws.uniform());
  return { token, confidence: confidenceOf(options.algorithm, probs, token) };
}

/** Temperature, then top-p, then top-k, then softmax. */
export function filteredProbs(logits: Float32Array, { temperature, topP = 1, topK }: Pick<DecodeOptions, "temperature" | "topP" | "topK">): Float64Array {
  const probs = softmax(logits, temperature === 0 ? 1 : temperature);
  if (topP >= 1 && topK === undefined) return probs;
  const ranked = Array.from(probs.keys()).sort((a, b) => probs[b]! - probs[a]! || a - b);
  let kept = ranked.length;
  if (topP < 1) {
    let mass = 0;
    kept = ranked.findIndex((id) => (mass += probs[id]!) > topP) + 1 || ranked.length;
  }
  if (topK !== undefined) {
    const smallest = probs[ranked[Math.min(topK, kept) - 1]!]!;
    while (probs[ranked[kept - 1]!]! < smallest) kept--;
  }
  let mass = 0;
  for (const id of ranked.slice(0, kept)) mass += probs[id]!;
  for (const id of ranked.slice(kept)) probs[id] = 0;
  for (const id of ranked.slice(0, kept)) probs[id]! /= mass;
  return probs;
}

function softmax(logits: Float32Array, temperature: number): Float64Array {
  let highest = -Infinity;
  for (const logit of logits) if (logit > highest) highest = logit;
  const probs = new Float64Array(logits.length);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += probs[i] = Math.exp((logits[i]! - highest) / temperature);
  for (let i = 0; i < logits.length; i++) probs[i]! /= sum;
  return probs;
}

/** `maskgit_plus`: probability of the token; `topk_margin`: lead of the likeliest over the next; `entropy`: negative entropy. */
function confidenceOf(algorithm: DecodeAlgorithm, probs: Float64Array, token: number): number {
  if (algorithm === "entropy") {
    let negativeEntropy = 0;
    for (const prob of probs) negativeEntropy += prob * Math.log(prob + 1e-10);
    return negativeEntropy;
  }
  if (algorithm === "topk_margin") {
    const first = indexOfLargest(probs);
    let second = 0;
    probs.forEach((prob, id) => {
      if (id !== first && prob > second) second = prob;
    });
    return probs[first]! - second;
  }
  return probs[token]!;
}

function mostConfident<T extends { position: number; confidence: number }>(drawn: readonly T[], count: number, temperature: number, draws: RandomStream): T[] {
  const scored = drawn.map((entry) => ({
    entry,
    // Adding Gumbel noise to confidence / temperature and taking the top is drawing without replacement.
    score: temperature === 0 ? entry.confidence : entry.confidence / temperature - Math.log(-Math.log(1 - draws.uniform())),
  }));
  scored.sort((a, b) => b.score - a.score); // stable: equal ones stay in the order of their positions
  return scored.slice(0, count).map(({ entry }) => entry);
}

function indexOfLargest(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** Index that a uniform number falls on. */
export function drawIndex(probs: Float64Array, uniform: number): number {
  let mass = 0;
  let last = 0;
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] === 0) continue;
    mass += probs[i]!;
    last = i;
    if (uniform < mass) break;
  }
  return last; // also when the probabilities sum to a little less than 1
}
