export { chanceArness, globalArness, localArness, localHits, openRanks, type LocalForm } from "./arness.ts";
export { annealedAttentionBias, annealingRatio, causalAttentionBias, closeFrom } from "./attention-annealing.ts";
export { createBlockSampler, type CacheKind, type ModelBlockSampler } from "./block-sampler.ts";
export {
  architectureSchema,
  fromHuggingFace,
  toHuggingFace,
  type Architecture,
  type HuggingFaceLayout,
  type HuggingFaceOptions,
  type ModelConfig,
} from "./config.ts";
export { tokenCrossEntropy } from "./cross-entropy.ts";
export { decode } from "./decode.ts";
export type { DecodeOptions } from "./decode-options.ts";
export { decodeOptionsOf, decodingShape, openSampler, refineDecoding, type DecodingSettings } from "./decoding-settings.ts";
export { diffusionFeeds, diffusionLossGraph, type DiffusionBatchShape, type DiffusionFeeds } from "./diffusion-loss.ts";
export { ModelError } from "./errors.ts";
export { forward, predictingRow, type ForwardOptions } from "./forward.ts";
export { checkVocabulary, modelTensors, type ModelTensor } from "./hugging-face.ts";
export { loadModel, loadParameters, openModel, type LoadedModel, type OpenModel } from "./load-model.ts";
export { cartWeights, inverseLevelWeights, type LossWeights } from "./loss-weights.ts";
export { drawNoiseLevel, noiseCanvas, type NoisedCanvas } from "./noise.ts";
export type { DecodedCanvas } from "./open-canvas.ts";
export {
  checkParameters,
  decays,
  initialParameters,
  parameterCount,
  joinedParameters,
  parameterShapes,
  trainingFlopsPerToken,
  trainingMemoryBytes,
} from "./parameters.ts";
export type { CommitRule } from "./position-choice.ts";
export { createSampler, type BlockSampler, type ModelSampler, type Sampler } from "./sampler.ts";
export { ALGORITHMS, type DecodeAlgorithm } from "./token-distribution.ts";
