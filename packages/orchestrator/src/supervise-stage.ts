import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { StageCancelled, type PartCost, type StageProgress } from "@diffucoder/lineage";
import { RemoteFailure, StageCrashed, StageStalled, type FailureFacts } from "./errors.ts";
import { stageLogPath, type Home } from "./home.ts";
import { lastLines } from "./process-state.ts";
import { codeVersion, nodeArguments } from "./source-mode.ts";
import { partId, type PartJob, type StageJob, type StageResult } from "./workflows/contract.ts";

/** What a stage's process writes on file descriptor 3, one JSON document a line. */
export type StageMessage =
  | { readonly progress: StageProgress }
  | { readonly result: StageResult | PartCost }
  | { readonly failure: FailureFacts };

/** What it reads from standard input: one line; its end means that the worker is gone. */
export interface StageAssignment {
  readonly job: StageJob;
  /** Given where not the stage itself is to be run, but a part of its work. */
  readonly part: Omit<PartJob, "job"> | null;
  readonly store: string;
  /** `codeVersion` before the process was started. */
  readonly code: string;
}

export interface Supervision {
  readonly home: Home;
  readonly job: StageJob;
  readonly part?: Omit<PartJob, "job">;
  /** Aborted: let the stage save a checkpoint, then end it. */
  readonly signal: AbortSignal;
  /** Called about once a second while the stage is in order or winding down. */
  readonly onAlive: (progress: StageProgress | undefined) => void;
}

const TICK_MS = 500;

/**
 * Runs a stage, or a part of its work, in a process of its own and watches it.
 *
 * A process keeps native crashes, memory and blocking loops away from the worker. It is ended when it reports nothing
 * for too long, and ends by itself when the worker dies.
 *
 * @returns the stage's result, or what the part cost
 */
export async function superviseStage({ home, job, part, signal, onAlive }: Supervision): Promise<StageResult | PartCost> {
  const { retry } = job;
  const id = part === undefined ? job.id : partId({ job, ...part });
  const logPath = stageLogPath(home, job.runId, job.id);
  const code = codeVersion();
  const child = spawnStage(logPath, part === undefined ? "attempt" : `attempt at part ${part.index + 1} of ${part.count}`);
  child.stdin.on("error", () => {}); // it has ended; the close event tells how
  child.stdin.write(`${JSON.stringify({ job, part: part ?? null, store: home.store, code } satisfies StageAssignment)}\n`);

  let progress: StageProgress | undefined;
  let spokeAt = Date.now();
  let last: StageMessage | undefined;
  const stopping: { isStalled: boolean; killer?: NodeJS.Timeout } = { isStalled: false };
  createInterface({ input: child.messages }).on("line", (line) => {
    spokeAt = Date.now();
    const message = JSON.parse(line) as StageMessage;
    if ("progress" in message) progress = message.progress;
    else last = message;
  });
  const stop = (): void => {
    if (stopping.killer !== undefined) return;
    child.kill("SIGTERM");
    stopping.killer = setTimeout(() => child.kill("SIGKILL"), retry.graceMs);
  };
  const tick = setInterval(() => {
    if (stopping.killer === undefined && Date.now() - spokeAt > retry.stallMs) {
      stopping.isStalled = true;
      stop();
    }
    onAlive(progress);
  }, TICK_MS);
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();

  try {
    const [exitCode, exitSignal] = await child.closed;
    if (last !== undefined && "result" in last) return last.result;
    if (signal.aborted) throw new StageCancelled(id, progress?.step);
    if (stopping.isStalled) throw new StageStalled(id, retry.stallMs, logPath);
    if (last !== undefined && "failure" in last) throw new RemoteFailure(last.failure);
    throw new StageCrashed({ stage: id, exitCode, signal: exitSignal, log: logPath, lastLines: lastLines(logPath) });
  } finally {
    clearInterval(tick);
    clearTimeout(stopping.killer);
    signal.removeEventListener("abort", stop);
  }
}

function spawnStage(logPath: string, what: string) {
  mkdirSync(dirname(logPath), { recursive: true });
  const log = openSync(logPath, "a");
  writeSync(log, `--- ${new Date().toISOString()} ${what}\n`);
  const [command, ...args] = [...deathSignalCommand(), process.execPath, ...nodeArguments("stage-process")];
  const child = spawn(command!, args, { stdio: ["pipe", log, log, "pipe"] });
  closeSync(log);
  const closed = new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on("close", (code, signal) => resolve([code, signal]));
    child.on("error", reject);
  });
  return { stdin: child.stdin!, messages: child.stdio[3] as NodeJS.ReadableStream, closed, kill: (signal: NodeJS.Signals) => child.kill(signal) };
}

let deathSignal: readonly string[] | undefined;

/** On Linux the kernel can end the stage with its worker, even in the middle of a loop that never yields. */
function deathSignalCommand(): readonly string[] {
  const command = ["setpriv", "--pdeathsig", "KILL"];
  deathSignal ??= spawnSync(command[0]!, [...command.slice(1), "true"]).status === 0 ? command : [];
  return deathSignal;
}
