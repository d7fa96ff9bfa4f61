import { link, mkdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { listFolder } from "./blob-store.ts";
import { LeaseLost, refuseFullDisk } from "./errors.ts";
import { isProcessAlive } from "./is-process-alive.ts";

/**
 * Leases with fencing numbers: at most one attempt of a stage key works at a time, and one that was taken over can
 * never publish. A lease is the file `<key>/<number>`; its time stamp is the heartbeat. The highest number rules.
 * `<number>.released` beside it marks its end; a number is never free again.
 */
export class LeaseStore {
  readonly #root: string;
  readonly #expiryMs: number;

  constructor(root: string, expiryMs = 30_000) {
    this.#root = root;
    this.#expiryMs = expiryMs;
  }

  /** Takes the lease of a key, or returns undefined while another attempt is alive. */
  acquire(key: string, now: () => number): Promise<Lease | undefined> {
    return refuseFullDisk(this.#root, () => this.#acquire(key, now));
  }

  async #acquire(key: string, now: () => number): Promise<Lease | undefined> {
    const folder = join(this.#root, key);
    await mkdir(folder, { recursive: true });
    const newest = await newestLease(folder);
    if (newest !== undefined && !newest.released && !(await this.#isDead(join(folder, newest.name), now))) return undefined;
    const number = (newest?.number ?? 0) + 1;
    const path = join(folder, numbered(number));
    try {
      await writeFile(path, JSON.stringify({ pid: process.pid, host: hostname() }), { flag: "wx" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return undefined;
      throw error;
    }
    return new Lease(key, number, path, folder, this.#expiryMs);
  }

  async #isDead(path: string, now: () => number): Promise<boolean> {
    try {
      const { mtimeMs } = await stat(path);
      if (now() - mtimeMs > this.#expiryMs) return true;
      const owner = JSON.parse(await readFile(path, "utf8")) as { pid: number; host: string };
      return owner.host === hostname() && !isProcessAlive(owner.pid);
    } catch {
      return false; // it is being written or released just now
    }
  }
}

/** A held lease. Beats by itself until released. */
export class Lease {
  readonly key: string;
  /** Fencing number; also the number of the attempt. */
  readonly number: number;
  readonly #path: string;
  readonly #folder: string;
  readonly #beat: NodeJS.Timeout;

  constructor(key: string, number: number, path: string, folder: string, expiryMs: number) {
    this.key = key;
    this.number = number;
    this.#path = path;
    this.#folder = folder;
    this.#beat = setInterval(() => {
      const time = new Date();
      void utimes(path, time, time).catch(() => {}); // gone: `check` reports it
    }, expiryMs / 6).unref();
  }

  /** @throws LeaseLost when a newer attempt has taken over */
  async check(): Promise<void> {
    const newest = await newestLease(this.#folder);
    if (newest === undefined || newest.number !== this.number || newest.released) {
      throw new LeaseLost(this.key, this.number, newest?.number ?? 0);
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#beat);
    await link(this.#path, `${this.#path}.released`).catch(() => {}); // released already, or gone: `check` reports it
  }
}

async function newestLease(folder: string): Promise<{ number: number; name: string; released: boolean } | undefined> {
  const name = (await listFolder(folder)).at(-1);
  if (name === undefined) return undefined;
  return { number: Number.parseInt(name, 10), name, released: name.endsWith(".released") };
}

const numbered = (number: number): string => String(number).padStart(6, "0");
