/**
 * Noise levels from 1 down to 1e-3, in single precision as the reference computes them: the number of tokens fixed in
 * a step is the floor of a product with them, and sits on the edge of integers.
 */
export function noiseTimes(steps: number): Float32Array {
  const last = Math.fround(1e-3);
  const width = Math.fround(Math.fround(last - 1) / steps);
  // As torch.linspace: counted from the nearer end.
  return Float32Array.from({ length: steps + 1 }, (_, i) =>
    i < (steps + 1) / 2 ? Math.fround(1 + Math.fround(width * i)) : Math.fround(last - Math.fround(width * (steps - i))),
  );
}

/** Share of the masked positions that a step fixes: 1 - s/t in the reference, and all that are left in the last step. */
export const transferShare = (times: Float32Array, step: number): number => (step === times.length - 2 ? 1 : 1 - times[step + 1]! / times[step]!);
