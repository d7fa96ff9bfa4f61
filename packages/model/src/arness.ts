/** Which reading of "the k tokens before" local AR-ness uses; see `localArness`. */
export type LocalForm = "strict" | "set";

/**
 * Share of decode steps that continue a left-to-right run of length k: 1/T times the number of steps t whose k
 * predecessors fixed the k positions just before.
 *
 * `strict` asks for them in order (the paper's figure caption) and never grows with k; `set` in any order (its
 * appendix), which is not monotone. A pure left-to-right order scores (T - k) / T.
 *
 * @param order positions in the order they were fixed, a permutation of 0..T-1
 * @source DiffuCoder, arXiv:2506.20639v2, section 3.1 and appendix A.2
 */
export function localArness(order: readonly number[], k: number, form: LocalForm = "strict"): number {
  return shareOf(localHits(order, k, form));
}

/** For each decode step whether it continues a run, see `localArness`; the first k have too few before them. */
export function localHits(order: readonly number[], k: number, form: LocalForm = "strict"): boolean[] {
  return order.map((position, t) => {
    if (t < k) return false;
    const before = order.slice(t - k, t);
    if (form === "set") before.sort((a, b) => a - b);
    return before.every((fixed, i) => fixed === position - k + i);
  });
}

/**
 * Share of decode steps that fix one of the k leftmost open positions.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3.1 (FMS@k)
 */
export function globalArness(order: readonly number[], k: number): number {
  return shareOf(openRanks(order).map((rank) => rank < k));
}

/** For each decode step how many open positions lay to the left of the one it fixed; below k it counts for global AR-ness. */
export function openRanks(order: readonly number[]): number[] {
  const open = order.map((_, position) => position);
  return order.map((position) => {
    const rank = open.indexOf(position);
    open.splice(rank, 1);
    return rank;
  });
}

/**
 * What orders drawn at random score on average. Of the L! orders, L - k places to begin a run and (L - k - 1)! orders of the
 * other positions put a given run at a given step; of the L - k steps that could end it each counts 1/L. The set form
 * lets the k before stand in any of their k! orders. Globally, a step with m open positions hits with min(1, k / m).
 */
export function chanceArness(length: number, k: number): { readonly strict: number; readonly set: number; readonly global: number } {
  if (length === 0) return { strict: 0, set: 0, global: 0 };
  let strict = k < length ? (length - k) / length : 0;
  let orders = 1;
  for (let i = 0; i < k; i++) {
    strict /= Math.max(1, length - i);
    orders *= i + 1;
  }
  let global = 0;
  for (let open = 1; open <= length; open++) global += Math.min(1, k / open);
  return { strict, set: strict * orders, global: global / length };
}

const shareOf = (hits: readonly boolean[]): number => (hits.length === 0 ? 0 : hits.filter(Boolean).length / hits.length);
