import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { openStore, runStage } from "@diffucoder/lineage";
import { failureFacts } from "./errors.ts";
import { loadRegistry, PORTABLE_NUMERICS } from "./stages.ts";
import type { StageAssignment, StageMessage } from "./supervise-stage.ts";

const MESSAGES = 3;
const ORPHANED = 70;

// The worker holds the other end of standard input and never closes it: an end means that the worker is dead.
const input = createInterface({ input: process.stdin }).on("close", () => process.exit(ORPHANED));
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());

input.once("line", (line) => {
  void work(JSON.parse(line) as StageAssignment).then(
    (result) => finish({ result }),
    (error: unknown) => {
      console.error(error);
      finish({ failure: failureFacts(error) });
    },
  );
});

async function work({ job, store }: StageAssignment) {
  const registry = await loadRegistry();
  const definition = await registry.stage(job.uses);
  const { recipe, execution, inputs, seed, baseDirectory } = job;
  return runStage({
    store: await openStore(store),
    definition,
    request: { recipe, execution, inputs, seed, baseDirectory },
    numerics: job.resource === "train" ? await registry.numerics(job.dtype) : PORTABLE_NUMERICS,
    signal: stop.signal,
    now: Date.now,
    onProgress: (progress) => send({ progress }),
    log: (text) => console.log(text),
  });
}

function send(message: StageMessage): void {
  writeSync(MESSAGES, `${JSON.stringify(message)}\n`);
}

function finish(message: StageMessage): void {
  send(message);
  process.exit(0);
}
