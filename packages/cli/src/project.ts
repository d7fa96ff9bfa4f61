import { openStore, StageError, type Store } from "@diffucoder/lineage";
import { joinSession, listRuns, openHome, openSession, runRecord, RunUnknown, type Home, type ResolvedPipeline, type RunRecord, type Session } from "@diffucoder/orchestrator";

/** Opens this project's store. */
export async function projectStore(home: Home = openHome()): Promise<Store> {
  return openStore(home.store);
}

/** The run that is meant: the one named, else the newest. @throws NoRuns, RunUnknown */
export async function chooseRun(home: Home, runId: string | undefined): Promise<RunRecord> {
  const chosen = runId ?? (await listRuns(home))[0]?.runId;
  if (chosen === undefined) throw new NoRuns(home.root);
  const record = runRecord(home, chosen);
  if (record === undefined) throw new RunUnknown(chosen);
  return record;
}

/** Does something on a session with a server and a worker, starting what is down, and closes it. */
export async function withSession<T>(home: Home, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await openSession(home);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** As `withSession`, but starts nothing: without a server the work gets none. */
export async function withRunningServer<T>(home: Home, work: (session: Session | undefined) => Promise<T>): Promise<T> {
  const session = await joinSession(home);
  try {
    return await work(session);
  } finally {
    await session?.close();
  }
}

export class NoRuns extends StageError {
  constructor(root: string) {
    super({ code: "NoRuns", message: `${root}: expected a run, found none. \`diffucoder run RECIPE\` starts one.`, retryable: false, details: { root } });
  }
}

/** @throws UsageError unless the pipeline has a stage of that id */
export function requireStage(pipeline: ResolvedPipeline, stage: string): void {
  const ids = pipeline.stages.map(({ id }) => id);
  if (!ids.includes(stage)) throw new UsageError(`stage ${stage}: expected one of ${ids.join(", ")}, found no such stage`);
}

/** A word on the command line that fits nothing. */
export class UsageError extends StageError {
  constructor(message: string) {
    super({ code: "Usage", message, retryable: false });
  }
}
