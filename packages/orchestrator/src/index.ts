export {
  abort,
  attach,
  cancel,
  finalStatus,
  joinSession,
  listRuns,
  openSession,
  pause,
  pipelineStatus,
  resume,
  retryStage,
  runRecord,
  skipStage,
  startPipeline,
  uiLink,
  type AttachOptions,
  type RunRecord,
  type RunSummary,
  type Session,
} from "./client.ts";
export {
  NoAnswer,
  NumericsUnsupported,
  PortTaken,
  RequestRefused,
  RunUnknown,
  ServerUnreachable,
  SourcesChanged,
  StageCrashed,
  StageStalled,
  StartFailed,
  TemporalMissing,
  failureFacts,
  type FailureFacts,
} from "./errors.ts";
export { artifactName, openHome, stageLogPath, type Home } from "./home.ts";
export { pipelineSchema, planPipeline, readPipeline, type ReadOptions } from "./pipeline-recipe.ts";
export { previewPipeline, type StagePreview } from "./preview.ts";
export { findServer, findTemporal, serverDown, serverStatus, serverUp, type Server, type ServerStatus } from "./server.ts";
export { loadRegistry, PORTABLE_NUMERICS, type StageModule, type StageRegistry } from "./stages.ts";
export { ALL_QUEUES, liveWorkers, outdatedWorkers, workerDown, workerUp, type WorkerState } from "./worker.ts";
export {
  TERMINAL_STATES,
  type PipelineState,
  type PipelineStatus,
  type QueueName,
  type ResolvedPipeline,
  type ResolvedStage,
  type RetryPolicy,
  type RetryRequest,
  type Settings,
  type SkipRequest,
  type StageInput,
  type StageState,
  type StageStatus,
} from "./workflows/contract.ts";
