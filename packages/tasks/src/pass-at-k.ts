/**
 * Chance that at least one of k samples passes, without bias from n samples of which c passed.
 *
 * @source Chen et al., "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, eq. 1
 */
export function passAtK(samples: number, passed: number, k: number): number {
  if (k < 1 || k > samples) throw new RangeError(`k: expected 1 to ${samples}, found ${k}`);
  let allFail = 1;
  for (let i = 0; i < k; i++) allFail *= (samples - passed - i) / (samples - i);
  return 1 - allFail;
}
