import {
  ActivityCancellationType,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  patched,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from "@temporalio/workflow";
import {
  CONTROL_RETRY,
  holdSignal,
  partId,
  stageChangedSignal,
  type ControlActivities,
  type PartJob,
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
 * Runs one stage to its end: looks for a result, else makes attempts until one succeeds or no more may fail. A stage
 * whose work can be shared does its parts first, side by side as far as workers have slots, each with attempts of its own.
 *
 * Holding stops the running attempts at a checkpoint; the next ones go on from there. Attempts are counted here and
 * not by Temporal, because one that was held, handed back or lost with its worker says nothing against the stage.
 */
export async function stageWorkflow(job: StageJob): Promise<StageResult> {
  let isHeld = false;
  const running = new Set<CancellationScope>();
  setHandler(holdSignal, (held) => {
    isHeld = held;
    if (held) for (const scope of running) scope.cancel();
  });

  const { key, result, parts } = await controlActivities(job).prepareStage(job);
  if (result !== undefined) return result;

  /** Makes attempts at a piece of work. */
  async function persist<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1, failed = 0, lost = 0; ; attempt += 1) {
      if (isHeld) {
        await condition(() => running.size === 0); // other parts are winding down
        await tell(job, { state: "paused", key });
        await condition(() => !isHeld);
      }
      await tell(job, { state: "running", attempt, key });
      const scope = new CancellationScope();
      try {
        running.add(scope);
        if (isHeld) continue; // held while the parent was being told
        return await scope.run(work);
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
        running.delete(scope);
      }
    }
  }

  if (parts === undefined || !patched("parts")) return persist(() => stageActivities(job, job.id).runStage(job));
  const startedAt = Date.now();
  const costs = await together(Array.from({ length: parts.count }, (_, index) => () => persist(() => partActivities(job, index).runPart({ ...parts, job, index }))));
  const cost = { startedAt, cpuMs: costs.reduce((sum, { cpuMs }) => sum + cpuMs, 0), peakMemoryBytes: Math.max(...costs.map(({ peakMemoryBytes }) => peakMemoryBytes)) };
  return persist(() => stageActivities(job, job.id).runStage({ ...job, parts: cost }));
}

/** Does all of it side by side; what fails for good ends the others, and is thrown once they have ended. */
async function together<T>(work: readonly (() => Promise<T>)[]): Promise<T[]> {
  const scope = new CancellationScope();
  const failures: unknown[] = [];
  const results = await scope.run(() =>
    Promise.allSettled(
      work.map((each) =>
        each().catch((error: unknown) => {
          failures.push(error);
          scope.cancel();
          throw error;
        }),
      ),
    ),
  );
  if (failures.length > 0) throw failures[0];
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

function tell(job: StageJob, change: Partial<StageStatus>): Promise<void> {
  return getExternalWorkflowHandle(workflowInfo().parent!.workflowId).signal(stageChangedSignal, { id: job.id, change });
}

function controlActivities(job: StageJob): ControlActivities {
  return proxyActivities<ControlActivities>({ taskQueue: job.queues.control, startToCloseTimeout: "1 hour", heartbeatTimeout: "10 seconds", retry: CONTROL_RETRY });
}

const partActivities = (job: StageJob, index: PartJob["index"]): StageActivities => stageActivities(job, partId({ job, index }));

function stageActivities(job: StageJob, activityId: string): StageActivities {
  return proxyActivities<StageActivities>({
    taskQueue: job.queues[job.resource],
    activityId,
    summary: activityId,
    startToCloseTimeout: "60 days",
    heartbeatTimeout: job.retry.heartbeatMs,
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { maximumAttempts: 1 },
  });
}
