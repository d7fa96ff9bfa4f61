import { basename, extname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { WorkerLost } from "./errors.ts";
import { closeOpenFiles, runUnit, type Unit, type UnitResult } from "./units.ts";

/** Does units of work, several at once. */
export interface UnitPool {
  /** How many are done at once. */
  readonly size: number;
  run(unit: Unit): Promise<UnitResult>;
  close(): Promise<void>;
}

/** Does units one after the other in this thread, and lets others have a turn between two. */
export function inlinePool(): UnitPool {
  let last: Promise<unknown> = Promise.resolve();
  return {
    size: 1,
    run(unit) {
      const result = last.then(() => setImmediate()).then(() => runUnit(unit));
      last = result.catch(() => {});
      return result;
    },
    close: async () => closeOpenFiles(),
  };
}

/** What a thread answers to a unit. */
export type UnitAnswer = { readonly result: UnitResult } | { readonly error: unknown };

/**
 * Up to `size` worker threads, started when there is work for them. When one dies, its unit, and no other, is done again by
 * a new one.
 */
export function threadPool(size: number, spawn: () => Worker = spawnWorker): UnitPool {
  const all = new Set<Worker>();
  const idle = new Set<Worker>();
  const waiting: ((worker: Worker) => void)[] = [];
  let isClosed = false;

  const start = (): Worker => {
    const worker = spawn();
    all.add(worker);
    worker.on("error", () => {}); // whoever waits for its answer hears of it too
    worker.on("exit", () => {
      all.delete(worker);
      idle.delete(worker);
      if (!isClosed) waiting.shift()?.(start());
    });
    return worker;
  };
  const acquire = async (): Promise<Worker> => {
    const [worker] = idle;
    if (worker === undefined) return all.size < size ? start() : new Promise((resolve) => waiting.push(resolve));
    idle.delete(worker);
    return worker;
  };
  const release = (worker: Worker): void => {
    const next = waiting.shift();
    if (next === undefined) idle.add(worker);
    else next(worker);
  };

  return {
    size,
    async run(unit) {
      for (let tries = 1; ; tries++) {
        const worker = await acquire();
        const answer = await ask(worker, unit);
        if (!("died" in answer)) release(worker);
        if ("result" in answer) return answer.result;
        if ("error" in answer) throw answer.error;
        if (tries === ATTEMPTS || isClosed) throw new WorkerLost(`${unit.kind} ${basename(unit.output)}`, tries, answer.died);
      }
    },
    async close() {
      isClosed = true;
      await Promise.all([...all].map((worker) => worker.terminate()));
    },
  };
}

const ATTEMPTS = 3;

function spawnWorker(): Worker {
  return new Worker(new URL(`./unit-worker${extname(import.meta.filename)}`, import.meta.url));
}

function ask(worker: Worker, unit: Unit): Promise<UnitAnswer | { readonly died: unknown }> {
  return new Promise((resolve) => {
    const settle = (answer: UnitAnswer | { readonly died: unknown }) => {
      worker.off("message", settle);
      worker.off("error", failed);
      worker.off("exit", ended);
      resolve(answer);
    };
    const failed = (error: unknown) => settle({ died: error });
    const ended = (code: number) => settle({ died: `exit ${code}` });
    worker.once("message", settle);
    worker.once("error", failed);
    worker.once("exit", ended);
    worker.postMessage(unit);
  });
}
