import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { StartFailed } from "./errors.ts";
import type { Home } from "./home.ts";
import { endProcess, isOurs, lastLines, readState, spawnDetached, withLock } from "./process-state.ts";
import { codeVersion, nodeArguments } from "./source-mode.ts";
import type { QueueName } from "./workflows/contract.ts";

export const ALL_QUEUES: readonly QueueName[] = ["control", "cpu", "train"];

/** What a worker writes down about itself once it is ready. */
export interface WorkerState {
  readonly pid: number;
  readonly queues: readonly QueueName[];
  readonly address: string;
  /** Which sources it runs. */
  readonly code: string;
  /** Stage processes at work. */
  readonly running: number;
}

const START_LIMIT_MS = 60_000;
const DRAIN_LIMIT_MS = 120_000;

/** Workers of this home that are alive. */
export function liveWorkers(home: Home): WorkerState[] {
  const files = readdirSync(home.work).filter((name) => /^worker-.*\.json$/.test(name));
  return files
    .map((name) => readState<WorkerState>(join(home.work, name))!)
    .filter(({ pid }) => isOurs(pid, "worker-process"));
}

/** Workers at work that were started from older sources; each is replaced once it is idle. */
export function outdatedWorkers(home: Home): WorkerState[] {
  const code = codeVersion();
  return liveWorkers(home).filter((worker) => worker.code !== code);
}

/**
 * Sees to it that each queue is served by exactly one worker of this home, so that one training stage at a time has
 * the machine. A dead worker is replaced, and so is an idle one that runs older sources or another server.
 *
 * @param address of the server
 */
export async function workerUp(home: Home, address: string, queues: readonly QueueName[] = ALL_QUEUES): Promise<readonly WorkerState[]> {
  return withLock(join(home.work, "lock"), async () => {
    const code = codeVersion();
    for (const worker of liveWorkers(home)) {
      const isCurrent = worker.code === code && worker.address === address;
      if (!isCurrent && worker.running === 0) await endProcess(worker.pid, DRAIN_LIMIT_MS);
    }
    const served = liveWorkers(home).flatMap((worker) => worker.queues);
    const missing = queues.filter((queue) => !served.includes(queue));
    if (missing.length > 0) await startWorker(home, missing, code);
    return liveWorkers(home);
  });
}

/** Asks the workers to stop; running stages save a checkpoint and are taken up by the next worker. */
export async function workerDown(home: Home): Promise<number> {
  const workers = liveWorkers(home);
  await Promise.all(workers.map(({ pid }) => endProcess(pid, DRAIN_LIMIT_MS)));
  return workers.length;
}

export const workerStateFile = (home: Home, queues: readonly QueueName[]): string => join(home.work, `worker-${[...queues].sort().join("-")}.json`);

async function startWorker(home: Home, queues: readonly QueueName[], code: string): Promise<void> {
  const log = join(home.work, "worker.log");
  const env = { ...process.env, DIFFUCODER_HOME: home.root, DIFFUCODER_WORKER_CODE: code };
  const { pid, ended } = spawnDetached(process.execPath, [...nodeArguments("worker-process"), ...queues], log, env);
  for (const deadline = Date.now() + START_LIMIT_MS; ; await sleep(50)) {
    if (readState<WorkerState>(workerStateFile(home, queues))?.pid === pid) return;
    if (!ended() && Date.now() < deadline) continue;
    await endProcess(pid, 1000);
    throw new StartFailed(`worker for ${queues.join(", ")}`, log, lastLines(log));
  }
}
