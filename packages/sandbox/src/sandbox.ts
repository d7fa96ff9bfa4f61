import { ChecksInvalid, SandboxFault } from "./errors.ts";
import { findTools, versionOf, type SandboxTools } from "./find-tools.ts";
import { SandboxWorker } from "./sandbox-worker.ts";
import { DEFAULT_LIMITS, type SandboxJob, type SandboxLimits, type Verdict } from "./verdict.ts";

/** Runs programs against checks: no network, no files, no privileges, bounded in time, memory, processes and output. */
export interface Sandbox {
  /** @throws SandboxFault when the sandbox failed, which says nothing about the program; ChecksInvalid when no program could pass */
  run(job: SandboxJob): Promise<Verdict>;
  close(): Promise<void>;
}

export interface SandboxOptions {
  readonly workers?: number;
  readonly limits?: Partial<SandboxLimits>;
  /** Folder of Python packages that programs and tests may import besides the standard library, as `pip install --target` makes it. */
  readonly packages?: string | undefined;
}

/**
 * Starts a sandbox of several workers, each a bubblewrap of its own.
 *
 * @throws SandboxUnavailable naming what is missing and how to get it
 */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { workers = 2, limits = {}, packages } = options;
  const tools = { ...(await findTools()), packages };
  const first = await SandboxWorker.start(tools);
  return new WorkerPool(tools, workers, { ...DEFAULT_LIMITS, ...limits }, first);
}

export interface SandboxVersions {
  readonly bubblewrap: string;
  readonly python: string;
}

/** Starts a sandbox to see that it can be, and says what it runs on. @throws SandboxUnavailable */
export async function probeSandbox(): Promise<SandboxVersions> {
  await (await SandboxWorker.start(await findTools())).close();
  return sandboxVersions();
}

/** What a sandbox would run on. @throws SandboxUnavailable */
export async function sandboxVersions(): Promise<SandboxVersions> {
  const { bubblewrap, python } = await findTools();
  return { bubblewrap: await versionOf(bubblewrap), python: await versionOf(python) };
}

class WorkerPool implements Sandbox {
  readonly #tools: SandboxTools;
  readonly #limits: SandboxLimits;
  readonly #idle: SandboxWorker[];
  readonly #waiting: (() => void)[] = [];
  readonly #all: Set<SandboxWorker>;
  /** Workers that may still be started. */
  #vacancies: number;
  #isClosed = false;

  constructor(tools: SandboxTools, workers: number, limits: SandboxLimits, first: SandboxWorker) {
    this.#tools = tools;
    this.#limits = limits;
    this.#idle = [first];
    this.#all = new Set([first]);
    this.#vacancies = workers - 1;
  }

  async run(job: SandboxJob): Promise<Verdict> {
    const worker = await this.#take();
    try {
      const verdict = await worker.run(job, { ...this.#limits, ...job.limits });
      this.#idle.push(worker);
      return verdict;
    } catch (error) {
      if (error instanceof ChecksInvalid) this.#idle.push(worker);
      else await this.#discard(worker);
      throw error;
    } finally {
      this.#waiting.shift()?.();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#all].map((worker) => worker.close()));
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #take(): Promise<SandboxWorker> {
    for (;;) {
      if (this.#isClosed) throw new SandboxFault("a sandbox that is closed");
      const idle = this.#idle.pop();
      if (idle !== undefined) return idle;
      if (this.#vacancies > 0) return this.#start();
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async #start(): Promise<SandboxWorker> {
    this.#vacancies--;
    try {
      const worker = await SandboxWorker.start(this.#tools);
      this.#all.add(worker);
      if (this.#isClosed) await worker.close();
      return worker;
    } catch (error) {
      this.#vacancies++;
      this.#waiting.shift()?.();
      throw error;
    }
  }

  async #discard(worker: SandboxWorker): Promise<void> {
    this.#all.delete(worker);
    this.#vacancies++;
    await worker.close();
  }
}
