import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Where downloads and built tools are kept, for all checkouts of a user. */
export function cacheFolder() {
  const { DIFFUCODER_CACHE, XDG_CACHE_HOME } = process.env;
  return DIFFUCODER_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "diffucoder");
}

/** Two set-ups at once would tread on each other; the second waits for the first. */
export async function withLock(work) {
  await mkdir(cacheFolder(), { recursive: true });
  const lock = join(cacheFolder(), "setup.lock");
  for (let said = false; !take(lock); said = true) {
    if (!said) console.log("set-up: another one is at work; waiting for it");
    await sleep(500);
  }
  const release = () => rmSync(lock, { force: true });
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => (release(), process.exit(130)));
  try {
    return await work();
  } finally {
    release();
  }
}

function take(lock) {
  try {
    const file = openSync(lock, "wx");
    writeSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    if (!isAlive(Number(readFileSync(lock, "utf8")))) rmSync(lock, { force: true });
    return false;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
