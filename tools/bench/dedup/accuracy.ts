import { MinHashKernel, type MinHashScheme } from "@diffucoder/corpus";

/** Pairs of documents by place, the lesser first, as one number. */
export type PairSet = ReadonlySet<number>;

/** Above any number of documents here. */
const PAIR_BASE = 1 << 20;
const pairOf = (a: number, b: number): number => Math.min(a, b) * PAIR_BASE + Math.max(a, b);

export const pairSet = (pairs: readonly (readonly [number, number])[]): PairSet => new Set(pairs.map(([a, b]) => pairOf(a, b)));

/**
 * All pairs at or above a Jaccard similarity, every pair compared; those whose sizes rule it out are passed over.
 *
 * @param shingles distinct hashes of each document, u64
 */
export function bruteForcePairs(shingles: readonly Uint8Array[], threshold: number, scheme: MinHashScheme): PairSet {
  const kernel = new MinHashKernel(scheme);
  const order = shingles.map((_, place) => place).filter((place) => shingles[place]!.length > 0).sort((a, b) => shingles[a]!.length - shingles[b]!.length);
  const pairs = new Set<number>();
  for (const [i, larger] of order.entries()) {
    kernel.hold(shingles[larger]!);
    for (let j = i - 1; j >= 0; j--) {
      const smaller = order[j]!;
      if (shingles[smaller]!.length < threshold * shingles[larger]!.length) break;
      const { shared, union } = kernel.compare(shingles[smaller]!);
      if (shared / union >= threshold) pairs.add(pairOf(larger, smaller));
    }
  }
  return pairs;
}

/** How what a side found compares with the truth. */
export interface Accuracy {
  readonly truePairs: number;
  readonly recall: number;
  readonly precision: number;
  /** Share of the removed documents that a remaining one is truly like. */
  readonly rightlyRemoved: number;
  /** True pairs of which both remain. */
  readonly leftOver: number;
}

export function accuracyOf(truth: PairSet, found: PairSet, removed: ReadonlySet<number>): Accuracy {
  const right = [...found].filter((pair) => truth.has(pair)).length;
  const hasKeptNeighbour = new Set<number>();
  let leftOver = 0;
  for (const pair of truth) {
    const [a, b] = [Math.floor(pair / PAIR_BASE), pair % PAIR_BASE];
    if (!removed.has(a)) hasKeptNeighbour.add(b);
    if (!removed.has(b)) hasKeptNeighbour.add(a);
    if (!removed.has(a) && !removed.has(b)) leftOver++;
  }
  return {
    truePairs: truth.size,
    recall: right / truth.size,
    precision: right / found.size,
    rightlyRemoved: [...removed].filter((document) => hasKeptNeighbour.has(document)).length / removed.size,
    leftOver,
  };
}
