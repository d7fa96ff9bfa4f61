export { loadCheckpoint, saveCheckpoint, type Checkpoint } from "./checkpoint.ts";
export { DOCUMENTS_FILE, docIdOf, readDocuments, writeDocuments, type DocumentRow, type Split } from "./documents.ts";
export { FormatError, type FormatErrorCode } from "./errors.ts";
export { formatMetrics, parseMetrics, type MetricsLine } from "./metrics.ts";
export type { Dtype } from "./half-precision.ts";
export { readSafetensors, tensorsToWrite, writeSafetensors, type NamedTensor, type TensorEntry, type TensorToWrite } from "./safetensors.ts";
export { Weights, writeWeights } from "./sharded-safetensors.ts";
export {
  SHARD_MANIFEST,
  ShardSet,
  merkleRoot,
  openShards,
  writeShards,
  type OpenShardsOptions,
  type ShardManifest,
  type TokenDocument,
  type WriteShardsOptions,
} from "./shards.ts";
