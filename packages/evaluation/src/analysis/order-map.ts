import { binIndex, binsOf, type Bin } from "./bins.ts";
import { certaintyOf } from "./entropy-sink.ts";
import type { AnalysedSample } from "./read-evaluation.ts";

/** Positions that were fixed at some steps. */
export interface OrderCell {
  readonly positions: Bin;
  readonly steps: Bin;
  /** Of these positions, the share that these steps fixed; over all steps it comes to 1. */
  readonly share: number;
  /** Mean certainty with which they were fixed, see `certaintyOf`. */
  readonly certainty: number;
}

/** When each position is fixed: a heat map over positions and steps; cells in which nothing was fixed are left out. */
export function orderMap(samples: readonly AnalysedSample[], { algorithm, steps }: { readonly algorithm: string; readonly steps: number }): OrderCell[] {
  const columns = binsOf(samples.reduce((most, { order }) => Math.max(most, order.length), 0), MOST_COLUMNS);
  const rows = binsOf(steps, MOST_ROWS);
  const cells = columns.map(() => rows.map(() => ({ count: 0, certainty: 0 })));
  for (const { trace, confidences } of samples) {
    for (const [position, step] of trace.entries()) {
      const cell = cells[binIndex(columns, position)]![binIndex(rows, step)]!;
      cell.count += 1;
      cell.certainty += certaintyOf(confidences[position]!, algorithm);
    }
  }
  return columns.flatMap((positions, column) => {
    const fixed = cells[column]!.reduce((sum, { count }) => sum + count, 0);
    return rows.flatMap((row, i) => {
      const { count, certainty } = cells[column]![i]!;
      return count === 0 ? [] : [{ positions, steps: row, share: count / fixed, certainty: certainty / count }];
    });
  });
}

const MOST_COLUMNS = 48;
const MOST_ROWS = 32;
