export { ChecksInvalid, SandboxFault, SandboxUnavailable } from "./errors.ts";
export { createSandbox, probeSandbox, sandboxVersions, type Sandbox, type SandboxOptions, type SandboxVersions } from "./sandbox.ts";
export { sandboxAssets } from "./sandbox-worker.ts";
export { DEFAULT_LIMITS, type SandboxJob, type SandboxLimits, type Verdict } from "./verdict.ts";
