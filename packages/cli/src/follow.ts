import { attach, NoAnswer, type PipelineStatus, type Session } from "@diffucoder/orchestrator";
import { createProgressView } from "./progress-view.ts";

/** How following a run ended. */
export type Followed = { readonly kind: "ended" | "parked"; readonly status: PipelineStatus } | { readonly kind: "detached" };

/**
 * Shows a run until it ends, or parks when nobody is to wait for the operator. Ctrl-C stops following; the run goes on.
 */
export async function follow(session: Session, runId: string, options: { readonly throughParking: boolean }): Promise<Followed> {
  const stop = new AbortController();
  const detach = (): void => stop.abort();
  process.once("SIGINT", detach);
  const view = createProgressView();
  let newest: PipelineStatus | undefined;
  try {
    for await (const status of attach(session, runId, { signal: stop.signal })) {
      newest = status;
      view.update(status);
      if (status.state === "parked" && !options.throughParking) return { kind: "parked", status };
    }
  } finally {
    process.off("SIGINT", detach);
    await view.close();
  }
  if (stop.signal.aborted) return { kind: "detached" };
  if (newest === undefined) throw new NoAnswer(runId, undefined);
  return { kind: "ended", status: newest };
}
