/** A half-open range of positions or steps, drawn as one. */
export interface Bin {
  readonly from: number;
  readonly to: number;
}

/** Equal ranges that cover 0..length-1, at most so many; the last may be shorter. */
export function binsOf(length: number, most: number): Bin[] {
  const width = Math.max(1, Math.ceil(length / most));
  return Array.from({ length: Math.ceil(length / width) }, (_, i) => ({ from: i * width, to: Math.min(length, (i + 1) * width) }));
}

export function binIndex(bins: readonly Bin[], value: number): number {
  return Math.floor(value / bins[0]!.to);
}
