import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { codeIdentity, openStore, runPart, runStage, type StageProgress } from "@diffucoder/lineage";
import { failureFacts, SourcesChanged } from "./errors.ts";
import { codeVersion } from "./source-mode.ts";
import { loadRegistry, PORTABLE_NUMERICS } from "./stages.ts";
import type { StageAssignment, StageMessage } from "./supervise-stage.ts";

const MESSAGES = 3;
const ORPHANED = 70;
const LEAST_MS_BETWEEN_REPORTS = 40;

// The worker holds the other end of standard input and never closes it: an end means that the worker is dead.
const input = createInterface({ input: process.stdin }).on("close", () => process.exit(ORPHANED));
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
// The log file's disk may be full: the failure to report is the stage's own.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

input.once("line", (line) => {
  void work(JSON.parse(line) as StageAssignment).then(
    (result) => finish({ result }),
    (error: unknown) => {
      console.error(error);
      finish({ failure: failureFacts(error) });
    },
  );
});

async function work({ job, part, store, code }: StageAssignment) {
  const registry = await loadRegistry();
  const definition = await registry.stage(job.uses);
  const { recipe, execution, inputs, seed, baseDirectory } = job;
  const slowerBecause = job.resource === "train" ? await registry.slowerBecause() : undefined;
  if (slowerBecause !== undefined) console.log(`slower than this machine could be: ${slowerBecause}`);
  const options = {
    store: await openStore(store),
    definition,
    request: { recipe, execution, inputs, seed, baseDirectory },
    numerics: job.resource === "train" ? await registry.numerics(job.dtype) : PORTABLE_NUMERICS,
    signal: stop.signal,
    now: Date.now,
    onProgress: slowerBecause === undefined ? report : (progress: StageProgress) => report({ ...progress, note: [progress.note, slowerBecause].filter((note) => note !== undefined).join("; ") }),
    log: (text: string) => console.log(text),
  };
  await codeIdentity(definition); // of the files as they are now, but recorded as that of the code loaded above
  if (codeVersion() !== code) throw new SourcesChanged(job.id);
  if (part === null) {
    const outcome = await runStage({ ...options, ...(job.parts === undefined ? {} : { parts: job.parts }) });
    // Of this attempt on this machine: the run is told, the record has the numerics.
    return outcome.cached || slowerBecause === undefined ? outcome : { ...outcome, summary: { ...outcome.summary, slowerBecause } };
  }
  const { index, count, sources } = part;
  return runPart({ ...options, part: { index, count }, sources });
}

let sentAt = 0;

/** Quick steps would flood the worker; the newest figures are all it keeps. */
function report(progress: StageProgress): void {
  if (Date.now() - sentAt < LEAST_MS_BETWEEN_REPORTS) return;
  sentAt = Date.now();
  send({ progress });
}

function send(message: StageMessage): void {
  writeSync(MESSAGES, `${JSON.stringify(message)}\n`);
}

function finish(message: StageMessage): void {
  send(message);
  process.exit(0);
}
