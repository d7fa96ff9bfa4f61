/** How texts become candidates for comparison. */
export interface MinHashScheme {
  /** Words in a run. */
  readonly wordsPerRun: number;
  readonly bands: number;
  /** Hashes in a band: two texts become a candidate pair when all of one band agree. */
  readonly rows: number;
}

/**
 * Schemes by name.
 *
 * - `standard`: half of all pairs are found at similarity 0.66, 95 % at 0.8.
 * - `fineweb`: datatrove's defaults, as FineWeb used them.
 * - `stack`: The Stack v1 and v2.
 * - `refinecode-paper`: "16 bands, 128 rows" finds only near copies (half at 0.975); `refinecode-swapped` reads the two
 *   numbers the other way round (half at 0.82).
 *
 * @source Penedo et al., arXiv:2406.17557v2, section 3.4; Lozhkov et al., arXiv:2402.19173v1, section 4; Huang et al.,
 *   arXiv:2411.04905v3, section 2.1
 */
export const MINHASH_PRESETS = {
  standard: { wordsPerRun: 5, bands: 16, rows: 8 },
  fineweb: { wordsPerRun: 5, bands: 14, rows: 8 },
  stack: { wordsPerRun: 5, bands: 25, rows: 10 },
  "refinecode-paper": { wordsPerRun: 5, bands: 16, rows: 128 },
  "refinecode-swapped": { wordsPerRun: 5, bands: 128, rows: 16 },
} as const satisfies Record<string, MinHashScheme>;

export type MinHashPreset = keyof typeof MINHASH_PRESETS;

/** Probability that two texts of a similarity become a candidate pair: 1 - (1 - s^rows)^bands. */
export function candidateProbability({ bands, rows }: MinHashScheme, similarity: number): number {
  return 1 - (1 - similarity ** rows) ** bands;
}
