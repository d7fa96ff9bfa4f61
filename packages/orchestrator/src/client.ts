import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, WorkflowNotFoundError, WorkflowUpdateFailedError, type Connection } from "@temporalio/client";
import { ApplicationFailure, defaultPayloadConverter } from "@temporalio/common";
import type { StageProgress } from "@diffucoder/lineage";
import { NoAnswer, RequestRefused, RunUnknown, ServerUnreachable, type FailureFacts } from "./errors.ts";
import type { Home } from "./home.ts";
import { readState, writeState } from "./process-state.ts";
import { connect, findServer, isServerAlive, serverUp, type Server } from "./server.ts";
import { ALL_QUEUES, liveWorkers, workerUp } from "./worker.ts";
import {
  abortUpdate,
  pauseUpdate,
  queuesOf,
  resumeUpdate,
  retryUpdate,
  skipUpdate,
  statusQuery,
  TERMINAL_STATES,
  type PipelineInput,
  type PipelineStatus,
  type QueueName,
  type ResolvedPipeline,
  type RetryRequest,
  type SkipRequest,
  type StageStatus,
} from "./workflows/contract.ts";

const QUERY_LIMIT_MS = 5000;
const UPDATE_LIMIT_MS = 30_000;

/** A connection to the server of one home. */
export interface Session {
  readonly home: Home;
  /** Queues that workers of this home are to serve. */
  readonly queues: readonly QueueName[];
  readonly server: Server;
  readonly client: Client;
  close(): Promise<void>;
}

/** What is kept of a run beside the server's history. */
export interface RunRecord {
  readonly runId: string;
  readonly startedAt: string;
  readonly recipeFile: string;
  readonly pipeline: ResolvedPipeline;
}

export interface RunSummary {
  readonly runId: string;
  readonly name: string;
  readonly startedAt: string;
  readonly recipeFile: string;
  /** `unknown` when the run has not ended and the server is down or has lost it. */
  readonly state: PipelineStatus["state"] | "unknown";
}

/** Opens a session, starting the embedded server and workers for these queues where they are down. */
export async function openSession(home: Home, queues: readonly QueueName[] = ALL_QUEUES): Promise<Session> {
  const server = await serverUp(home);
  const [session] = await Promise.all([sessionOf(home, server, queues), workerUp(home, server.connection.address, queues)]);
  return session;
}

/** Opens a session with a server that is up already; undefined when it is down. Starts nothing. */
export async function joinSession(home: Home): Promise<Session | undefined> {
  const server = await findServer(home);
  return server === undefined ? undefined : sessionOf(home, server, []);
}

async function sessionOf(home: Home, server: Server, queues: readonly QueueName[]): Promise<Session> {
  const connection: Connection = await connect(server);
  return { home, queues, server, client: new Client({ connection, namespace: server.namespace }), close: () => connection.close() };
}

/** Starts a run. A second run of the same recipe is a new one, whose stages find their results. */
export async function startPipeline({ home, client }: Session, pipeline: ResolvedPipeline, recipeFile: string): Promise<string> {
  const runId = `${pipeline.name}-${randomBytes(3).toString("hex")}`;
  mkdirSync(join(home.runs, runId), { recursive: true });
  writeState(join(home.runs, runId, "run.json"), { runId, startedAt: new Date().toISOString(), recipeFile, pipeline } satisfies RunRecord);
  const queues = queuesOf(home.storeId);
  await client.workflow.start("pipelineWorkflow", {
    workflowId: runId,
    taskQueue: queues.control,
    args: [{ pipeline, queues } satisfies PipelineInput],
    staticSummary: `pipeline ${pipeline.name}, seed ${pipeline.seed}`,
  });
  return runId;
}

/** The state of a run, with the newest figures of its running stages. */
export async function pipelineStatus(session: Session, runId: string): Promise<PipelineStatus> {
  const final = finalStatus(session.home, runId);
  if (final !== undefined) return final;
  const { workflow } = session.client;
  const status = await answerTo(session, runId, QUERY_LIMIT_MS, () => workflow.getHandle(runId).query(statusQuery));
  return { ...status, stages: await Promise.all(status.stages.map((stage) => withProgress(session, stage))) };
}

/** The state in which a run ended, kept beside its logs; undefined while it runs. */
export function finalStatus(home: Home, runId: string): PipelineStatus | undefined {
  return readState<PipelineStatus>(join(home.runs, runId, "status.json"));
}

export interface AttachOptions {
  readonly intervalMs?: number;
  /** Aborted: stop following; the run goes on. */
  readonly signal?: AbortSignal;
}

/**
 * Follows a run to its end: a status now and whenever it has changed. A parked run is followed on, so that what an
 * operator does about it shows.
 *
 * While someone follows, an embedded server or a worker that died is started again.
 */
export async function* attach(session: Session, runId: string, { intervalMs = 250, signal }: AttachOptions = {}): AsyncGenerator<PipelineStatus, void> {
  for (let shown = ""; signal?.aborted !== true; ) {
    await revive(session);
    const status = await statusThroughFaults(session, runId);
    const text = JSON.stringify(status);
    if (status !== undefined && text !== shown) yield status;
    shown = text;
    if (status !== undefined && TERMINAL_STATES.includes(status.state)) return;
    await sleep(intervalMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
  }
}

async function statusThroughFaults(session: Session, runId: string): Promise<PipelineStatus | undefined> {
  try {
    return await pipelineStatus(session, runId);
  } catch (error) {
    if (error instanceof NoAnswer) return undefined; // server or worker away for now
    throw error;
  }
}

async function revive({ home, server, queues }: Session): Promise<void> {
  const served = liveWorkers(home).flatMap((worker) => worker.queues);
  const isServerDead = server.pid !== undefined && !isServerAlive(home);
  if (!isServerDead && queues.every((queue) => served.includes(queue))) return;
  const now = await serverUp(home);
  await workerUp(home, now.connection.address, queues);
  const { address } = server.connection;
  if (now.connection.address !== address) throw new ServerUnreachable(address, `its port was taken; it is at ${now.connection.address} now`);
}

/** Starts a parked stage again, with changed settings if given. @throws RequestRefused */
export function retryStage(session: Session, runId: string, request: RetryRequest): Promise<void> {
  return update(session, runId, () => session.client.workflow.getHandle(runId).executeUpdate(retryUpdate, { args: [request] }));
}

/** Lets artifacts stand in for a parked or waiting stage's outputs. @throws RequestRefused */
export function skipStage(session: Session, runId: string, request: SkipRequest): Promise<void> {
  return update(session, runId, () => session.client.workflow.getHandle(runId).executeUpdate(skipUpdate, { args: [request] }));
}

/** Ends a run for a reason that is kept; running stages save a checkpoint. @throws RequestRefused */
export function abort(session: Session, runId: string, reason: string): Promise<void> {
  return update(session, runId, () => session.client.workflow.getHandle(runId).executeUpdate(abortUpdate, { args: [{ reason }] }));
}

/** Stops running stages at a checkpoint and starts no others. @throws RequestRefused */
export function pause(session: Session, runId: string): Promise<void> {
  return update(session, runId, () => session.client.workflow.getHandle(runId).executeUpdate(pauseUpdate));
}

/** @throws RequestRefused */
export function resume(session: Session, runId: string): Promise<void> {
  return update(session, runId, () => session.client.workflow.getHandle(runId).executeUpdate(resumeUpdate));
}

/** Ends a run; running stages save a checkpoint, which a later run of the same recipe goes on from. */
export async function cancel(session: Session, runId: string): Promise<void> {
  await update(session, runId, () => session.client.workflow.getHandle(runId).cancel());
}

/** All runs of this home, newest first. Without a session, runs that have not ended are `unknown`. */
export async function listRuns(home: Home, session?: Session): Promise<RunSummary[]> {
  const records = readdirSync(home.runs).map((runId) => runRecord(home, runId)).filter((record) => record !== undefined);
  const summaries = records.map(async ({ runId, startedAt, recipeFile, pipeline }): Promise<RunSummary> => {
    const final = finalStatus(home, runId);
    const status = final ?? (session && (await pipelineStatus(session, runId).catch(() => undefined)));
    return { runId, name: pipeline.name, startedAt, recipeFile, state: status?.state ?? "unknown" };
  });
  return (await Promise.all(summaries)).sort((a, b) => (a.startedAt < b.startedAt ? 1 : -1));
}

export function runRecord(home: Home, runId: string): RunRecord | undefined {
  return readState<RunRecord>(join(home.runs, runId, "run.json"));
}

/** The run's page in Temporal's web interface; undefined for a server elsewhere, whose page is not known. */
export function uiLink({ server }: Session, runId: string): string | undefined {
  return server.ui === undefined ? undefined : `${server.ui}/namespaces/${server.namespace}/workflows/${encodeURIComponent(runId)}`;
}

async function withProgress({ client }: Session, stage: StageStatus): Promise<StageStatus> {
  if (stage.state !== "running" || stage.workflowId === undefined) return stage;
  const description = await client.workflow.getHandle(stage.workflowId).describe().catch(() => undefined); // not started yet
  const pending = description?.raw.pendingActivities?.filter(({ activityId }) => activityId === stage.id || activityId?.startsWith(`${stage.id}/`)) ?? [];
  const found = pending.flatMap(({ activityId, heartbeatDetails }) => {
    const [payload] = heartbeatDetails?.payloads ?? [];
    const progress = payload ? defaultPayloadConverter.fromPayload<StageProgress | undefined>(payload) : undefined;
    return progress ? [{ id: activityId!, progress }] : []; // nothing has been reported yet
  });
  const progress = combined(stage.id, found);
  return progress === undefined ? stage : { ...stage, progress };
}

/** Where the hindmost of several parts is, and what each does. */
function combined(stage: string, found: readonly { readonly id: string; readonly progress: StageProgress }[]): StageProgress | undefined {
  const [hindmost] = found.map(({ progress }) => progress).sort((a, b) => a.step - b.step);
  if (hindmost === undefined || found.every(({ id }) => id === stage)) return hindmost;
  return { ...hindmost, note: found.map(({ id, progress }) => `part ${id.slice(stage.length + 1)}: ${progress.note ?? progress.step}`).join("; ") };
}

async function update(session: Session, runId: string, send: () => Promise<unknown>): Promise<void> {
  const final = finalStatus(session.home, runId);
  if (final !== undefined) throw refused(`run ${runId}: expected one that has not ended, found that it is ${final.state}`);
  await answerTo(session, runId, UPDATE_LIMIT_MS, send);
}

/** Sends a request about a run and types what can go wrong. */
async function answerTo<T>({ client }: Session, runId: string, limitMs: number, send: () => Promise<T>): Promise<T> {
  try {
    return await client.withDeadline(Date.now() + limitMs, send);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) throw new RunUnknown(runId);
    const cause = error instanceof WorkflowUpdateFailedError ? rootFailure(error.cause) : undefined;
    if (cause === undefined) throw new NoAnswer(runId, error);
    const facts = cause.details?.[0] as FailureFacts | undefined;
    throw facts === undefined ? refused(cause.message) : new RequestRefused(facts);
  }
}

function refused(message: string): RequestRefused {
  return new RequestRefused({ code: "RequestRefused", message, retryable: false, details: {} });
}

function rootFailure(error: unknown): ApplicationFailure | undefined {
  if (error instanceof ApplicationFailure) return error;
  return error instanceof Error ? rootFailure(error.cause) : undefined;
}
