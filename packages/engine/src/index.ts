export { engineAssets } from "./assets.ts";
export { backendInfo, loadBackend, resolveDtype, type BackendInfo, type BackendName } from "./backend.ts";
export { createProgram } from "./create-program.ts";
export { EagerProgram } from "./eager-program.ts";
export { EngineError, type EngineErrorCode } from "./errors.ts";
export { hasNativeKernels, runNativeKernel } from "./native-kernels.ts";
export { proveGpu } from "./prove-gpu.ts";
export type {
  AdamWSpec,
  Feed,
  GraphSpec,
  InputSpec,
  KeptTensor,
  NamedTensor,
  OptimizerMoments,
  Program,
  ProgramSpec,
  RunOptions,
  TrainGraphSpec,
} from "./program.ts";
export { tidied } from "./tidied.ts";
