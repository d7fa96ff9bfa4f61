import { ActivityFailure, ApplicationFailure, ChildWorkflowFailure, TimeoutFailure } from "@temporalio/workflow";
import type { FailureFacts } from "../errors.ts";

/** The typed facts under the wrappings that Temporal puts around a failure. */
export function factsOf(error: unknown): FailureFacts {
  if (error instanceof ActivityFailure || error instanceof ChildWorkflowFailure) return factsOf(error.cause);
  if (error instanceof TimeoutFailure) {
    return { code: WORKER_LOST, message: "worker: expected signs of life, found none. The stage goes on from its newest checkpoint.", retryable: true, details: {} };
  }
  if (error instanceof ApplicationFailure) {
    const facts = error.details?.[0] as FailureFacts | undefined;
    if (facts?.code !== undefined) return facts;
    return { code: error.type ?? "Unexpected", message: error.message, retryable: error.nonRetryable !== true, details: {} };
  }
  return { code: "Unexpected", message: error instanceof Error ? error.message : String(error), retryable: true, details: {} };
}

/** Carries typed facts across the server. */
export function failureOf(facts: FailureFacts): ApplicationFailure {
  return ApplicationFailure.create({ type: facts.code, message: facts.message, nonRetryable: true, details: [facts] });
}

/** The worker died with the attempt on it. */
export const WORKER_LOST = "WorkerLost";
/** The worker was told to stop and handed the attempt back. */
export const WORKER_STOPPED = "WorkerStopped";
