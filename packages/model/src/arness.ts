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
  let hits = 0;
  for (let t = k; t < order.length; t++) {
    const position = order[t]!;
    const before = order.slice(t - k, t);
    if (form === "set") before.sort((a, b) => a - b);
    if (before.every((fixed, i) => fixed === position - k + i)) hits++;
  }
  return order.length === 0 ? 0 : hits / order.length;
}

/**
 * Share of decode steps that fix one of the k leftmost open positions.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3.1 (FMS@k)
 */
export function globalArness(order: readonly number[], k: number): number {
  const open = order.map((_, position) => position);
  let hits = 0;
  for (const position of order) {
    const rank = open.indexOf(position);
    if (rank < k) hits++;
    open.splice(rank, 1);
  }
  return order.length === 0 ? 0 : hits / order.length;
}
