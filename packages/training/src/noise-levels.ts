import { drawNoiseLevel } from "@diffucoder/model";
import type { RandomStream } from "@diffucoder/random";
import type { TrainingRecipe } from "./config.ts";

/** One noise level for each canvas of a batch. */
export function drawNoiseLevels(count: number, noise: TrainingRecipe["noise"], draws: RandomStream): number[] {
  if (noise.levels === "independent") return Array.from({ length: count }, () => drawNoiseLevel(draws, noise.smallest));
  const offset = draws.uniform();
  const strata = draws.shuffle(Array.from({ length: count }, (_, stratum) => stratum));
  return strata.map((stratum) => spread((stratum + offset) / count, noise.smallest));
}

/** The middle of each of `count` equal strata: the same levels on every call, for validation. */
export function fixedNoiseLevels(count: number, smallest: number): number[] {
  return Array.from({ length: count }, (_, stratum) => spread((stratum + 0.5) / count, smallest));
}

/** From [0, 1) onto (smallest, 1]. */
const spread = (share: number, smallest: number): number => smallest + (1 - smallest) * (1 - share);
