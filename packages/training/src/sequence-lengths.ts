import type { RandomStream } from "@diffucoder/random";

/**
 * Where a batch's canvases end: at a length uniform in [2, canvasLength] with probability `share`, undefined otherwise.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3 (1 % of sequences are truncated to a random length)
 * @deviation one length for a batch, as LLaDA does (arXiv:2502.09992, section 2.2), since a batch shares its attention bias
 */
export function drawEnd(canvasLength: number, share: number, draws: RandomStream): number | undefined {
  if (draws.uniform() >= share) return undefined;
  return 2 + draws.integer(canvasLength - 1);
}

/**
 * First position of a canvas that may be hidden: uniform in [1, canvasLength) with probability `share`, 0 otherwise.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 3 (a further 1 % keep a prefix of random length as the condition)
 */
export function drawCleanPrefix(canvasLength: number, share: number, draws: RandomStream): number {
  if (draws.uniform() >= share) return 0;
  return 1 + draws.integer(canvasLength - 1);
}
