import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isProcessAlive } from "@diffucoder/lineage";

/** Reads a small JSON file; undefined when there is none. */
export function readState<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Replaces a small JSON file as a whole. */
export function writeState(path: string, state: unknown): void {
  const temporary = `${path}.${randomUUID()}`;
  writeFileSync(temporary, JSON.stringify(state, null, 2));
  renameSync(temporary, path);
}

/** Starts a process that outlives this one, with its output appended to a file. */
export function spawnDetached(command: string, args: readonly string[], logPath: string, env: NodeJS.ProcessEnv): { pid: number; ended: () => boolean } {
  const log = openSync(logPath, "a");
  const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log], env });
  closeSync(log);
  let ended = false;
  child.on("exit", () => (ended = true)).on("error", () => (ended = true)).unref();
  return { pid: child.pid ?? -1, ended: () => ended };
}

/** Whether the process is alive and still the one that was started: pids are used again. */
export function isOurs(pid: number, mark: string): boolean {
  if (!isProcessAlive(pid)) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(mark);
  } catch {
    return true; // not Linux
  }
}

/** Asks a process to end and waits; kills it when it has not after `graceMs`. */
export async function endProcess(pid: number, graceMs: number): Promise<void> {
  if (!isProcessAlive(pid)) return;
  process.kill(pid, "SIGTERM");
  for (const deadline = Date.now() + graceMs; Date.now() < deadline; await sleep(50)) {
    if (!isProcessAlive(pid)) return;
  }
  if (isProcessAlive(pid)) process.kill(pid, "SIGKILL");
  while (isProcessAlive(pid)) await sleep(20);
}

/** Last lines of a log, for an error message. */
export function lastLines(path: string, count = 8): string {
  try {
    const lines = readFileSync(path, "utf8").trimEnd().split("\n").slice(-count).join("\n");
    return lines === "" ? "" : ` Its last lines:\n${lines}`;
  } catch {
    return "";
  }
}

/** Runs `work` while holding a lock file; the lock of a dead process is taken over. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const own = `${path}.${randomUUID()}`;
  writeFileSync(own, String(process.pid));
  try {
    while (!tryLock(own, path)) await sleep(50);
    try {
      return await work();
    } finally {
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}

function tryLock(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  try {
    if (!isProcessAlive(Number(readFileSync(path, "utf8")))) rmSync(path, { force: true });
  } catch {
    // released just now
  }
  return false;
}
