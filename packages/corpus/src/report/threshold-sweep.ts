import { readTable, tablePath } from "../attribute-table.ts";
import { nearDuplicateGroups, type Policy } from "../policy.ts";
import { boundsOf, type Family } from "../quality/thresholds.ts";

/** How many documents a rule alone would drop, were its bound another. */
export interface Sweep {
  readonly rule: string;
  readonly bound: "least" | "most";
  readonly curve: readonly { readonly at: number; readonly drops: number }[];
}

const FACTORS = [0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 4];

/**
 * Moves each bound of each quality signal from a quarter to four times its value. Families share a curve: `at` is the
 * factor by which the bound of each is multiplied.
 */
export async function sweepQuality(tables: string, { quality }: Policy): Promise<Sweep[]> {
  if (quality === undefined) return [];
  const drops = new Map<string, number[]>();
  for await (const row of readTable(tablePath(tables, "quality"))) {
    for (const [signal, bounds] of boundsOf(quality.thresholds, row.family as Family, quality.changes)) {
      const value = row[signal];
      if (typeof value !== "number" || signal.startsWith("cate_")) continue;
      for (const bound of ["least", "most"] as const) {
        const limit = bounds[bound];
        if (limit === undefined || limit === 0) continue;
        const counts = drops.get(`${signal} ${bound}`) ?? FACTORS.map(() => 0);
        drops.set(`${signal} ${bound}`, counts);
        for (const [i, factor] of FACTORS.entries()) if (bound === "least" ? value < limit * factor : value > limit * factor) counts[i]!++;
      }
    }
  }
  return [...drops].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, counts]) => {
    const [rule, bound] = name.split(" ") as [string, Sweep["bound"]];
    return { rule, bound, curve: counts.map((found, i) => ({ at: FACTORS[i]!, drops: found })) };
  });
}

const SIMILARITIES = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1];

/** Documents that are like an earlier one at each similarity. What MinHash did not propose is not in the curve. */
export async function sweepSimilarity(tables: string, policy: Policy): Promise<Sweep[]> {
  if (nearDuplicateGroups(policy).length === 0) return [];
  const greatest = new Map<string, number>();
  for await (const { other_doc_id, similarity } of readTable(tablePath(tables, "near-duplicates"))) {
    const id = other_doc_id as string;
    greatest.set(id, Math.max(greatest.get(id) ?? 0, similarity as number));
  }
  const curve = SIMILARITIES.map((at) => ({ at, drops: [...greatest.values()].filter((similarity) => similarity >= at).length }));
  return [{ rule: "similarity", bound: "most", curve }];
}
