import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SetupError } from "./steps.js";

/** Where downloads and built tools are kept, for all checkouts of a user. */
export function cacheFolder() {
  const { DIFFUCODER_CACHE, XDG_CACHE_HOME } = process.env;
  return DIFFUCODER_CACHE || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "diffucoder");
}

/** Two set-ups at once would tread on each other; the second waits for the first. */
export async function withLock(work) {
  makeCacheFolder();
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

function makeCacheFolder() {
  try {
    makeWithParents(resolve(cacheFolder()));
  } catch (error) {
    throw new SetupError(`expected a folder for the cache, or a place to make one, found ${error.code} at ${cacheFolder()}`, "DIFFUCODER_CACHE=FOLDER npm run setup");
  }
}

/** Node's recursive mkdir never returns under /proc. */
function makeWithParents(path) {
  if (existsSync(path)) return;
  makeWithParents(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!existsSync(path)) throw error; // another process may have made it just now
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
