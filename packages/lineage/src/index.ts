export { acceptCode, type AcceptCodeOptions } from "./accept-code.ts";
export {
  ArtifactStore,
  type ArtifactFile,
  type ArtifactKind,
  type ArtifactManifest,
  type ArtifactRef,
  type DamagedFile,
} from "./artifact-store.ts";
export { FileBlobStore, hashFile, type BlobStore } from "./blob-store.ts";
export { cacheDirectory } from "./cache-directory.ts";
export { codeIdentity, type CodeIdentity } from "./code-digest.ts";
export {
  AcceptanceRefused,
  ArtifactAmbiguous,
  ArtifactCorrupt,
  ArtifactMissing,
  DiskFull,
  FolderUnusable,
  InvalidRecipe,
  LeaseLost,
  NondeterminismError,
  RecordCorrupt,
  RepairFailed,
  StageCancelled,
  StageError,
  describeSystemError,
  isDiskFull,
  refuseFullDisk,
} from "./errors.ts";
export { describeEnvironment, machineMemoryBytes } from "./environment.ts";
export { describeMismatch } from "./describe-mismatch.ts";
export { explainStage, type Difference, type Explanation, type NearestRun } from "./explain.ts";
export { isProcessAlive } from "./is-process-alive.ts";
export { canonicalJson, sha256, type JsonObject, type JsonValue } from "./json.ts";
export { LeaseStore, type Lease } from "./lease.ts";
export { findArtifact, lineageOf, planGarbage, verifyStore, type LineageNode, type LineageRun } from "./lineage-graph.ts";
export { makeFolder } from "./make-folder.ts";
export { NameDrift, NameStore } from "./names.ts";
export { StageRecords, type Acceptance, type Binding, type CheckpointRecord, type Cost, type RunFacts } from "./records.ts";
export type { Piece, PieceStore } from "./pieces.ts";
export { findCached, runPart, runStage, type PartCost, type PartsCost, type RunStageOptions, type StageOutcome } from "./run-stage.ts";
export type {
  NumericsProfile,
  Part,
  PartContext,
  StageContext,
  StageDefinition,
  StageOutput,
  StagePlan,
  StageProgress,
  StageRequest,
  StageResult,
} from "./stage.ts";
export { resolveStage, type KeyFacts, type ResolvedStage } from "./stage-key.ts";
export { openStore, type Store } from "./store.ts";
export { FolderTaken, writeFolder } from "./write-folder.ts";
