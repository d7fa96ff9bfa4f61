// Axes: V vocabulary.
import { ModelError } from "./errors.ts";

export interface TokenFilter {
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** Smallest set of tokens with at least this probability; 1 keeps all. */
  readonly topP?: number;
  /** Number of likeliest tokens kept (ties with the last one stay too). */
  readonly topK?: number;
}

/**
 * Probabilities of one position's tokens, in double precision: temperature, then top-p, then top-k, then softmax.
 *
 * @param room where they may be put, unless some are cut: [V]
 * @throws ModelError `NonFiniteLogits` when the logits are no distribution
 */
export function filteredProbs(logits: Float32Array, { temperature, topP = 1, topK }: TokenFilter, room = new Float64Array(logits.length)): Float64Array {
  const probs = softmax(logits, temperature === 0 ? 1 : temperature, room);
  if (topP >= 1 && topK === undefined) return probs;
  const ids = likeliest(probs, topP, topK);
  let mass = 0;
  for (const id of ids) mass += probs[id]!;
  const filtered = new Float64Array(probs.length);
  for (const id of ids) filtered[id] = probs[id]! / mass;
  return filtered;
}

/** Loops by index: most of the time that decoding spends on the host is spent here, and iterators take a third longer. */
function softmax(logits: Float32Array, temperature: number, probs: Float64Array): Float64Array {
  let highest = -Infinity;
  for (let i = 0; i < logits.length; i++) if (logits[i]! > highest) highest = logits[i]!;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += probs[i] = Math.exp((logits[i]! - highest) / temperature);
  // Not a number, too, is not above 0.
  if (!(sum > 0)) throw new ModelError("NonFiniteLogits", "logits of a position: expected finite numbers, found none or some that are not. The weights are damaged.");
  for (let i = 0; i < probs.length; i++) probs[i]! /= sum;
  return probs;
}

/** How far below the likeliest token the first look for those to keep goes; each further look goes as far again. */
const REACH = 1e-3;

/** Ids that top-p and then top-k keep, likeliest first, of equals the lower id. Only the likely ones are sorted. */
function likeliest(probs: Float64Array, topP: number, topK: number | undefined): readonly number[] {
  let lowest = probs.reduce((a, b) => Math.max(a, b));
  for (;;) {
    lowest *= REACH;
    const ranked: number[] = [];
    for (let id = 0; id < probs.length; id++) if (probs[id]! >= lowest) ranked.push(id);
    const isAll = ranked.length === probs.length;
    ranked.sort((a, b) => probs[b]! - probs[a]! || a - b);
    const kept = keptOf(probs, ranked, { topP, topK, isAll });
    if (kept !== undefined) return ranked.slice(0, kept);
  }
}

/** How many of the ranked ids stay; undefined when more would have to be ranked to know. */
function keptOf(
  probs: Float64Array,
  ranked: readonly number[],
  { topP, topK, isAll }: { readonly topP: number; readonly topK: number | undefined; readonly isAll: boolean },
): number | undefined {
  let kept = ranked.length;
  let isSettled = isAll;
  if (topP < 1) {
    let mass = 0;
    const crossing = ranked.findIndex((id) => (mass += probs[id]!) > topP);
    if (crossing !== -1) {
      kept = crossing + 1;
      isSettled = true;
    }
  }
  if (topK !== undefined && topK <= kept) {
    const smallest = probs[ranked[topK - 1]!]!;
    while (probs[ranked[kept - 1]!]! < smallest) kept--;
    isSettled = true;
  }
  return isSettled ? kept : undefined;
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

export function indexOfLargest(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

export const ALGORITHMS = ["origin", "maskgit_plus", "topk_margin", "entropy"] as const;

export type DecodeAlgorithm = (typeof ALGORITHMS)[number];

/** In nats. */
export function entropyOf(probs: Float64Array): number {
  let entropy = 0;
  for (const prob of probs) if (prob > 0) entropy -= prob * Math.log(prob);
  return entropy;
}

/** How sure the model is of a token: its probability; for `topk_margin` the lead of the likeliest over the next; for `entropy` the negative entropy. */
export function confidenceOf(algorithm: DecodeAlgorithm, probs: Float64Array, token: number): number {
  if (algorithm === "entropy") {
    let negativeEntropy = 0;
    for (let i = 0; i < probs.length; i++) if (probs[i]! > 0) negativeEntropy += probs[i]! * Math.log(probs[i]! + 1e-10);
    return negativeEntropy;
  }
  if (algorithm === "topk_margin") {
    const first = indexOfLargest(probs);
    let second = 0;
    for (let id = 0; id < probs.length; id++) if (id !== first && probs[id]! > second) second = probs[id]!;
    return probs[first]! - second;
  }
  return probs[token]!;
}
