// Axes: B canvases, T tokens per canvas.
import type { NoisedCanvas } from "@diffucoder/model";

/** One batch ready for the loss graph. */
export interface DiffusionBatch {
  readonly originals: readonly Int32Array[]; // B x [T]
  readonly canvases: readonly NoisedCanvas[]; // B
  /** Tokens that could have been hidden: what the loss is averaged over. */
  readonly maskableCount: number;
  /** [T * T]; absent once attention is full. */
  readonly attentionBias?: Float32Array | undefined;
  /** Ids of the documents or tasks in the batch. */
  readonly documents: readonly string[];
}

/** Where a training's batches come from: pure functions of the step, so that a resumed run sees the same ones. */
export interface BatchSource {
  /** @param step 1-based */
  trainingBatch(step: number): Promise<DiffusionBatch>;
  /** Batch `index` of held-out data under noise that never changes. */
  validationBatch(index: number): Promise<DiffusionBatch>;
  /** Whether any training step needs an attention bias. */
  readonly annealed: boolean;
  /** Throws where data on disk are no longer what they were; asked before anything that was learned from them is saved. */
  recheck?(): Promise<void>;
}
