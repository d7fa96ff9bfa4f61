import {
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  startChild,
  TemporalFailure,
  workflowInfo,
  type ChildWorkflowHandle,
} from "@temporalio/workflow";
import type { ArtifactRef } from "@diffucoder/lineage";
import {
  abortUpdate,
  CONTROL_RETRY,
  holdSignal,
  pauseUpdate,
  resumeUpdate,
  retryUpdate,
  skipUpdate,
  stageChangedSignal,
  stageWorkflowType,
  statusQuery,
  type ControlActivities,
  type PipelineInput,
  type PipelineState,
  type PipelineStatus,
  type ResolvedStage,
  type SkipRequest,
  type StageJob,
  type StageState,
  type StageStatus,
  type NumericsActivities,
} from "./contract.ts";
import { factsOf, failureOf } from "./failure.ts";
import { mergeSettings } from "./merge-settings.ts";
import { stageTable } from "./stage-table.ts";
import type { stageWorkflow } from "./stage.ts";

const REACHED: readonly StageState[] = ["cached", "done", "skipped"];

/**
 * Runs the stages of a pipeline, each as soon as its inputs are there.
 *
 * A stage that fails past its retries is parked until an operator retries it, skips it with artifacts that stand in
 * for its outputs, or aborts the run; other stages go on.
 */
export async function pipelineWorkflow({ pipeline, queues }: PipelineInput): Promise<PipelineStatus> {
  const { workflowId: runId } = workflowInfo();
  const statuses = new Map(pipeline.stages.map((stage) => [stage.id, waiting(stage)]));
  const children = new Map<string, ChildWorkflowHandle<typeof stageWorkflow>>();
  const scope = new CancellationScope();
  const startedAt = Date.now();
  let isPaused = false;
  let dtype: "fp32" | "bf16" | undefined;
  let abortReason: string | undefined;
  let end: { state: PipelineState; reason?: string; finishedAt: number } | undefined;

  const control = proxyActivities<ControlActivities>({ taskQueue: queues.control, startToCloseTimeout: "1 hour", heartbeatTimeout: "10 seconds", retry: CONTROL_RETRY });
  const machine = proxyActivities<NumericsActivities>({ taskQueue: queues.numerics, startToCloseTimeout: "10 minutes", heartbeatTimeout: "10 seconds", retry: CONTROL_RETRY });

  const isAtWork = (): boolean => end === undefined && abortReason === undefined;
  const statusOf = (id: string): StageStatus => statuses.get(id)!;
  const isReached = (id: string): boolean => REACHED.includes(statusOf(id).state);

  function snapshot(): PipelineStatus {
    const stages = [...statuses.values()];
    const isParked = stages.some(({ state }) => state === "parked") && !stages.some(({ state }) => state === "running");
    const state = end?.state ?? (isPaused ? "paused" : isParked ? "parked" : "running");
    return {
      runId,
      name: pipeline.name,
      state,
      seed: pipeline.seed,
      numerics: { policy: pipeline.numerics, ...(dtype === undefined ? {} : { dtype }) },
      stages,
      startedAt,
      ...(end === undefined ? {} : { finishedAt: end.finishedAt }),
      ...(end?.reason === undefined ? {} : { reason: end.reason }),
    };
  }

  function change(id: string, changes: Partial<StageStatus>): void {
    statuses.set(id, { ...statusOf(id), ...changes });
    setCurrentDetails(stageTable(snapshot()));
  }

  function refuseUnless(isAllowed: boolean, what: string, expected: string, found: string): void {
    if (isAllowed) return;
    throw failureOf({ code: "RequestRefused", message: `${what}: expected ${expected}, found ${found}`, retryable: false, details: {} });
  }

  function refuseUnlessStage(id: string, allowed: readonly StageState[]): void {
    refuseUnless(statuses.has(id), `stage ${id}`, `one of ${[...statuses.keys()].join(", ")}`, "no such stage");
    refuseUnless(allowed.includes(statusOf(id).state), `stage ${id}`, `it to be ${allowed.join(" or ")}`, `that it is ${statusOf(id).state}`);
  }

  setHandler(statusQuery, snapshot);
  setHandler(stageChangedSignal, ({ id, change: changes }) => change(id, changes));

  setHandler(
    retryUpdate,
    async ({ stage: id, recipe, execution }) => {
      const status = statusOf(id);
      const settings = await control.checkSettings(status.uses, {
        recipe: mergeSettings(status.recipe, recipe),
        execution: mergeSettings(status.execution, execution),
      });
      refuseUnlessStage(id, ["parked"]);
      change(id, { state: "waiting", ...settings });
    },
    { validator: ({ stage }) => refuseUnlessStage(stage, ["parked"]) },
  );

  setHandler(
    skipUpdate,
    async ({ stage: id, artifacts }) => {
      const outputs = await control.checkArtifacts(id, stageOf(id).outputs, artifacts);
      refuseUnlessStage(id, ["parked", "waiting"]);
      change(id, { state: "skipped", outputs, finishedAt: Date.now() });
    },
    {
      validator: ({ stage: id, artifacts }: SkipRequest) => {
        refuseUnlessStage(id, ["parked", "waiting"]);
        const expected = Object.keys(stageOf(id).outputs).sort().join(", ");
        const found = Object.keys(artifacts).sort().join(", ");
        refuseUnless(expected === found, `stage ${id}`, `an artifact for ${expected}`, found || "none");
        for (const [output, digest] of Object.entries(artifacts)) {
          refuseUnless(/^[0-9a-f]{64}$/.test(digest), `stage ${id}, output ${output}`, "a digest of 64 hexadecimal digits", digest);
        }
      },
    },
  );

  setHandler(
    abortUpdate,
    ({ reason }) => {
      abortReason = reason;
      scope.cancel();
    },
    { validator: ({ reason }) => refuseUnless(isAtWork() && reason !== "", "abort", "a running pipeline and a reason", reason === "" ? "no reason" : "that it is ending") },
  );

  setHandler(
    pauseUpdate,
    async () => {
      isPaused = true;
      await holdChildren(true);
    },
    { validator: () => refuseUnless(isAtWork() && !isPaused, "pause", "a running pipeline", `that it is ${snapshot().state}`) },
  );

  setHandler(
    resumeUpdate,
    async () => {
      isPaused = false;
      await holdChildren(false);
    },
    { validator: () => refuseUnless(isPaused, "resume", "a paused pipeline", `that it is ${snapshot().state}`) },
  );

  async function holdChildren(held: boolean): Promise<void> {
    // A child that has just ended cannot be told, and need not be.
    await Promise.all([...children.values()].map((child) => child.signal(holdSignal, held).catch(() => {})));
  }

  function stageOf(id: string): ResolvedStage {
    return pipeline.stages.find((stage) => stage.id === id)!;
  }

  /** Carries one stage to a result, through as many operators' decisions as it takes. */
  async function drive(stage: ResolvedStage, dtypeKnown: Promise<void>): Promise<void> {
    const sources = Object.values(stage.inputs).flatMap((input) => ("stage" in input ? [input.stage] : []));
    await condition(() => isReached(stage.id) || sources.every(isReached));
    if (stage.resource === "train") await dtypeKnown;
    for (let round = 1; ; round += 1) {
      await condition(() => !isPaused);
      if (isReached(stage.id)) return;
      try {
        await runChild(stage, round);
        return;
      } catch (error) {
        if (isCancellation(error)) throw error;
        change(stage.id, { state: "parked", error: factsOf(error), finishedAt: Date.now() });
      }
      await condition(() => statusOf(stage.id).state !== "parked");
    }
  }

  async function runChild(stage: ResolvedStage, round: number): Promise<void> {
    const { recipe, execution } = statusOf(stage.id);
    const workflowId = `${runId}/${stage.id}/${round}`;
    const job: StageJob = {
      runId,
      id: stage.id,
      uses: stage.uses,
      resource: stage.resource,
      recipe,
      execution,
      retry: stage.retry,
      inputs: Object.fromEntries(Object.entries(stage.inputs).map(([role, input]) => [role, resolveInput(input)])),
      seed: pipeline.seed,
      baseDirectory: pipeline.baseDirectory,
      dtype: dtype ?? "fp32", // unknown only to stages that do not depend on it
      queues,
    };
    change(stage.id, { state: "running", startedAt: Date.now(), workflowId });
    const child = await startChild<typeof stageWorkflow>(stageWorkflowType(stage.uses), {
      workflowId,
      args: [job],
      staticSummary: `${pipeline.name}: ${stage.id}`,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    });
    children.set(stage.id, child);
    if (isPaused) await holdChildren(true);
    try {
      const { key, cached, outputs, summary, wallMs } = await child.result();
      const { error: _, ...status } = statusOf(stage.id);
      statuses.set(stage.id, status);
      change(stage.id, { state: cached ? "cached" : "done", key, outputs, summary, wallMs, finishedAt: Date.now() });
    } finally {
      children.delete(stage.id);
    }
  }

  function resolveInput(input: ResolvedStage["inputs"][string]): ArtifactRef {
    return "stage" in input ? statusOf(input.stage).outputs[input.output]! : input;
  }

  /** Runs everything and waits for every stage to wind down, whatever becomes of the others. */
  async function driveAll(): Promise<void> {
    const dtypeKnown = machine.resolveNumerics(pipeline.numerics).then((word) => {
      dtype = word;
    });
    const work = [dtypeKnown, ...pipeline.stages.map((stage) => drive(stage, dtypeKnown))];
    for (const part of work) part.catch(() => scope.cancel());
    const results = await Promise.allSettled(work);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  let failure: unknown;
  try {
    await scope.run(driveAll);
    end = { state: "done", finishedAt: Date.now() };
  } catch (error) {
    if (!(error instanceof TemporalFailure)) throw error; // a mistake in this file: the server keeps the run until it is mended
    failure = error;
    const finishedAt = Date.now();
    if (abortReason !== undefined) end = { state: "aborted", reason: abortReason, finishedAt };
    else if (isCancellation(error)) end = { state: "cancelled", finishedAt };
    else end = { state: "failed", reason: factsOf(error).message, finishedAt };
    for (const { id, state } of statuses.values()) {
      if (state === "parked") change(id, { state: "failed" });
      else if (!REACHED.includes(state)) change(id, { state: "cancelled" });
    }
  }
  const status = snapshot();
  await CancellationScope.nonCancellable(async () => {
    await control.recordStatus(status);
    await condition(allHandlersFinished);
  });
  if (status.state === "done") return status;
  if (status.state === "aborted") throw failureOf({ code: "PipelineAborted", message: `pipeline ${runId}: aborted: ${status.reason}`, retryable: false, details: {} });
  throw failure;
}

function waiting({ id, uses, recipe, execution }: ResolvedStage): StageStatus {
  return { id, uses, state: "waiting", attempt: 0, recipe, execution, outputs: {} };
}
