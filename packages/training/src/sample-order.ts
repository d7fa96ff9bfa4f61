import { permutation } from "@diffucoder/random";

/** What decides the order; nothing else does, least of all batch size or worker count. */
export interface SampleOrderKey {
  readonly seed: number;
  readonly stage: string;
  /** Digest of the data, such as a shard set's Merkle root. */
  readonly root: string;
  /** Samples in the data, each used once an epoch. */
  readonly sampleCount: number;
}

/**
 * Which sample of the data the n-th draw of a training is, counting over all epochs: a pure function, so any position
 * can be resumed or audited without an index file.
 */
export function sampleOrder({ seed, stage, root, sampleCount }: SampleOrderKey): (draw: number) => number {
  let epoch = -1;
  let order: (position: number) => number;
  return (draw) => {
    const wanted = Math.floor(draw / sampleCount);
    if (wanted !== epoch) {
      epoch = wanted;
      order = permutation(sampleCount, { seed, stage, step: epoch, purpose: `sample order ${root}` });
    }
    return order(draw % sampleCount);
  };
}
