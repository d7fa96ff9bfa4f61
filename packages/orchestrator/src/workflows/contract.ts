import type { ArtifactKind, ArtifactRef, JsonObject, PartCost, PartsCost, StageProgress } from "@diffucoder/lineage";
import { defineQuery, defineSignal, defineUpdate } from "@temporalio/workflow";
import type { FailureFacts } from "../errors.ts";
import type { Dtype, NumericsPolicy } from "../stages.ts";

/** How often a stage is tried and how it is watched. */
export interface RetryPolicy {
  /** Attempts that may fail before the pipeline parks. Attempts that a worker took with it do not count. */
  readonly attempts: number;
  /** Wait before the second attempt; doubles from there. */
  readonly delayMs: number;
  /** A worker that gives no sign of life for so long is taken for dead. */
  readonly heartbeatMs: number;
  /** A stage that reports nothing for so long is stopped and tried again. */
  readonly stallMs: number;
  /** Time to save a checkpoint before the process is killed. */
  readonly graceMs: number;
}

/** Another stage's output, or an artifact that is in the store already. */
export type StageInput = { readonly stage: string; readonly output: string } | ArtifactRef;

export interface ResolvedStage {
  readonly id: string;
  readonly uses: string;
  readonly resource: "cpu" | "train";
  readonly inputs: Readonly<Record<string, StageInput>>;
  readonly outputs: Readonly<Record<string, ArtifactKind>>;
  readonly recipe: JsonObject;
  readonly execution: JsonObject;
  readonly retry: RetryPolicy;
}

/** A recipe with every default filled in and every reference checked. */
export interface ResolvedPipeline {
  readonly name: string;
  readonly seed: number;
  readonly numerics: NumericsPolicy;
  /** Where relative paths in stage recipes start from. */
  readonly baseDirectory: string;
  readonly stages: readonly ResolvedStage[];
}

export interface PipelineInput {
  readonly pipeline: ResolvedPipeline;
  readonly queues: Queues;
}

/** One stage of one run, ready to go. */
export interface StageJob {
  readonly runId: string;
  readonly id: string;
  readonly uses: string;
  readonly resource: "cpu" | "train";
  readonly recipe: JsonObject;
  readonly execution: JsonObject;
  readonly retry: RetryPolicy;
  readonly inputs: Readonly<Record<string, ArtifactRef>>;
  readonly seed: number;
  readonly baseDirectory: string;
  readonly dtype: Dtype;
  readonly queues: Queues;
  /** What its parts have cost, where it has any. */
  readonly parts?: PartsCost;
}

/** A part of a stage's work that several processes share before the stage itself runs. */
export interface PartJob {
  readonly job: StageJob;
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** Identities of the stage's sources, as in its key. */
  readonly sources: Readonly<Record<string, string>>;
}

/** What is known of a stage before it runs. */
export interface PreparedStage {
  readonly key: string;
  /** What it made when it was run before. */
  readonly result?: StageResult;
  /** Given where its work is to be shared. */
  readonly parts?: Pick<PartJob, "count" | "sources">;
}

export interface StageResult {
  readonly key: string;
  readonly cached: boolean;
  readonly outputs: Readonly<Record<string, ArtifactRef>>;
  readonly summary: JsonObject;
  readonly wallMs: number;
}

export type StageState = "waiting" | "running" | "cached" | "done" | "parked" | "paused" | "skipped" | "cancelled" | "failed";

export interface StageStatus {
  readonly id: string;
  readonly uses: string;
  readonly state: StageState;
  /** Attempts of this run so far; 0 before the first. */
  readonly attempt: number;
  readonly recipe: JsonObject;
  readonly execution: JsonObject;
  readonly outputs: Readonly<Record<string, ArtifactRef>>;
  readonly key?: string;
  /** Newest figures of a running stage; filled in by the client from the heartbeats. */
  readonly progress?: StageProgress;
  /** The newest failure, kept while a next attempt is at work. */
  readonly error?: FailureFacts;
  readonly summary?: JsonObject;
  /** What the result cost when it was made, which for a cached one was earlier. */
  readonly wallMs?: number;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** Workflow that holds the newest attempt. */
  readonly workflowId?: string;
}

export type PipelineState = "running" | "paused" | "parked" | "done" | "aborted" | "cancelled" | "failed";

export interface PipelineStatus {
  readonly runId: string;
  readonly name: string;
  readonly state: PipelineState;
  readonly seed: number;
  readonly numerics: { readonly policy: NumericsPolicy; readonly dtype?: Dtype };
  readonly stages: readonly StageStatus[];
  readonly startedAt: number;
  readonly finishedAt?: number;
  /** Why the run was aborted or failed. */
  readonly reason?: string;
}

/** Activities on the control queue: short, no slot taken from the stages. */
export interface ControlActivities {
  /** Computes the key and looks for a result; starts no process. */
  prepareStage(job: StageJob): Promise<PreparedStage>;
  /** Fills in defaults of changed settings. @throws InvalidRecipe */
  checkSettings(uses: string, settings: Settings): Promise<Settings>;
  /** @throws ArtifactMissing, ArtifactCorrupt, InvalidRecipe when an artifact cannot stand in for an output */
  checkArtifacts(stage: string, kinds: Readonly<Record<string, ArtifactKind>>, digests: Readonly<Record<string, string>>): Promise<Record<string, ArtifactRef>>;
  /** Names the artifacts that the run came to, and keeps the final status: the server forgets closed runs. */
  recordStatus(status: PipelineStatus): Promise<void>;
}

/** Answered where training stages run, but without waiting for the training slot. */
export interface NumericsActivities {
  resolveNumerics(policy: NumericsPolicy): Promise<Dtype>;
}

export interface StageActivities {
  runStage(job: StageJob): Promise<StageResult>;
  /** Leaves pieces in the store, which `runStage` finds. */
  runPart(part: PartJob): Promise<PartCost>;
}

/** `<stage>/3`: the activity of a part, counted from 1. */
export const partId = ({ job, index }: Pick<PartJob, "index"> & { readonly job: Pick<StageJob, "id"> }): string => `${job.id}/${index + 1}`;

export interface Settings {
  readonly recipe: JsonObject;
  readonly execution: JsonObject;
}

/** Short work is repeated a few times at once; what still fails is the operator's. */
export const CONTROL_RETRY = { maximumAttempts: 5, initialInterval: 200 } as const;

/** Task queues by resource. */
export interface Queues {
  readonly control: string;
  readonly cpu: string;
  readonly train: string;
  /** Served by every worker of the training queue. */
  readonly numerics: string;
}

/** What a worker can be told to serve. */
export type QueueName = "control" | "cpu" | "train";

export function queuesOf(storeId: string): Queues {
  const prefix = `diffucoder-${storeId}`;
  return { control: `${prefix}-control`, cpu: `${prefix}-cpu`, train: `${prefix}-train`, numerics: `${prefix}-numerics` };
}

/** `instruction-tuning` -> `instructionTuningWorkflow`. */
export function stageWorkflowType(uses: string): string {
  return `${uses.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())}Workflow`;
}

export const TERMINAL_STATES: readonly PipelineState[] = ["done", "aborted", "cancelled", "failed"];

export interface RetryRequest {
  readonly stage: string;
  /** Changes to the recipe, merged key by key; a changed recipe starts a new stage key. */
  readonly recipe?: JsonObject;
  readonly execution?: JsonObject;
}

export interface SkipRequest {
  readonly stage: string;
  /** Digest of the artifact that stands in for each output. */
  readonly artifacts: Readonly<Record<string, string>>;
}

export const statusQuery = defineQuery<PipelineStatus>("status");
export const retryUpdate = defineUpdate<void, [RetryRequest]>("retry");
export const skipUpdate = defineUpdate<void, [SkipRequest]>("skip");
export const abortUpdate = defineUpdate<void, [{ readonly reason: string }]>("abort");
export const pauseUpdate = defineUpdate<void>("pause");
export const resumeUpdate = defineUpdate<void>("resume");

/** From the pipeline to a stage: stop at a checkpoint and wait, or go on. */
export const holdSignal = defineSignal<[boolean]>("hold");
/** From a stage to its pipeline. */
export const stageChangedSignal = defineSignal<[{ readonly id: string; readonly change: Partial<StageStatus> }]>("stageChanged");
