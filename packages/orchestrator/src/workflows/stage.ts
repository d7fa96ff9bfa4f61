import {
  ActivityCancellationType,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from "@temporalio/workflow";
import {
  CONTROL_RETRY,
  holdSignal,
  stageChangedSignal,
  type ControlActivities,
  type StageActivities,
  type StageJob,
  type StageResult,
  type StageStatus,
} from "./contract.ts";
import { factsOf, failureOf, WORKER_LOST, WORKER_STOPPED } from "./failure.ts";

/** A stage that takes its worker down each time must not run for ever. */
const MOST_LOST_WORKERS = 20;
const LONGEST_DELAY_MS = 300_000;

/**
 * Runs one stage to its end: looks for a result, else makes attempts until one succeeds or no more may fail.
 *
 * Holding stops the running attempt at a checkpoint; the next one goes on from there. Attempts are counted here and
 * not by Temporal, because one that was held, handed back or lost with its worker says nothing against the stage.
 */
export async function stageWorkflow(job: StageJob): Promise<StageResult> {
  let isHeld = false;
  let running: CancellationScope | undefined;
  setHandler(holdSignal, (held) => {
    isHeld = held;
    if (held) running?.cancel();
  });

  const prepared = await controlActivities(job).prepareStage(job);
  if (prepared.result !== undefined) return prepared.result;

  for (let attempt = 1, failed = 0, lost = 0; ; attempt += 1) {
    if (isHeld) {
      await tell(job, { state: "paused", key: prepared.key });
      await condition(() => !isHeld);
    }
    await tell(job, { state: "running", attempt, key: prepared.key });
    try {
      running = new CancellationScope();
      if (isHeld) continue; // held while the parent was being told
      return await running.run(() => stageActivities(job).runStage(job));
    } catch (error) {
      if (CancellationScope.current().consideredCancelled) throw error;
      if (isCancellation(error)) continue; // held
      const facts = factsOf(error);
      await tell(job, { error: facts });
      if (facts.code === WORKER_STOPPED) continue;
      if (facts.code === WORKER_LOST) {
        if ((lost += 1) >= MOST_LOST_WORKERS) throw failureOf(facts);
        continue;
      }
      if (!facts.retryable || (failed += 1) >= job.retry.attempts) throw failureOf(facts);
      await sleep(Math.min(job.retry.delayMs * 2 ** (failed - 1), LONGEST_DELAY_MS));
    } finally {
      running = undefined;
    }
  }
}

function tell(job: StageJob, change: Partial<StageStatus>): Promise<void> {
  return getExternalWorkflowHandle(workflowInfo().parent!.workflowId).signal(stageChangedSignal, { id: job.id, change });
}

function controlActivities(job: StageJob): ControlActivities {
  return proxyActivities<ControlActivities>({ taskQueue: job.queues.control, startToCloseTimeout: "1 hour", heartbeatTimeout: "10 seconds", retry: CONTROL_RETRY });
}

function stageActivities(job: StageJob): StageActivities {
  return proxyActivities<StageActivities>({
    taskQueue: job.queues[job.resource],
    activityId: job.id,
    summary: job.id,
    startToCloseTimeout: "60 days",
    heartbeatTimeout: job.retry.heartbeatMs,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { maximumAttempts: 1 },
  });
}
