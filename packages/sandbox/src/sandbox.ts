import { findTools, versionOf, type SandboxTools } from "./find-tools.ts";
import { SandboxWorker } from "./sandbox-worker.ts";
import { DEFAULT_LIMITS, type SandboxJob, type SandboxLimits, type Verdict } from "./verdict.ts";

/** Runs programs against checks: no network, no files, no privileges, bounded in time, memory, processes and output. */
export interface Sandbox {
  /** @throws SandboxFault when the sandbox failed, which says nothing about the program */
  run(job: SandboxJob): Promise<Verdict>;
  close(): Promise<void>;
}

/**
 * Starts a sandbox of several workers, each a bubblewrap of its own.
 *
 * @throws SandboxUnavailable naming what is missing and how to get it
 */
export async function createSandbox(options: { readonly workers?: number; readonly limits?: Partial<SandboxLimits> } = {}): Promise<Sandbox> {
  const { workers = 2, limits = {} } = options;
  const tools = await findTools();
  const first = await SandboxWorker.start(tools);
  return new WorkerPool(tools, workers, { ...DEFAULT_LIMITS, ...limits }, first);
}

/** What the sandbox runs on. @throws SandboxUnavailable */
export async function probeSandbox(): Promise<{ bubblewrap: string; python: string }> {
  const tools = await findTools();
  await (await SandboxWorker.start(tools)).close();
  return { bubblewrap: await versionOf(tools.bubblewrap), python: await versionOf(tools.python) };
}

class WorkerPool implements Sandbox {
  readonly #tools: SandboxTools;
  readonly #limits: SandboxLimits;
  readonly #idle: SandboxWorker[];
  readonly #waiting: (() => void)[] = [];
  readonly #all: Set<SandboxWorker>;
  /** Workers that may still be started. */
  #vacancies: number;

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
      this.#all.delete(worker);
      this.#vacancies++;
      await worker.close();
      throw error;
    } finally {
      this.#waiting.shift()?.();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.close()));
  }

  async #take(): Promise<SandboxWorker> {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle !== undefined) return idle;
      if (this.#vacancies > 0) {
        this.#vacancies--;
        const worker = await SandboxWorker.start(this.#tools);
        this.#all.add(worker);
        return worker;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
