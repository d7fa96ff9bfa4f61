import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { JsonObject } from "@diffucoder/lineage";
import { afterAll, expect, test } from "vitest";
import { codeVersion, nodeArguments } from "./source-mode.ts";
import type { StageAssignment, StageMessage } from "./supervise-stage.ts";
import { TEST_STAGES } from "./testing/test-home.ts";
import { queuesOf, type StageJob } from "./workflows/contract.ts";

const store = mkdtempSync(join(tmpdir(), "stage-process-"));
afterAll(() => rmSync(store, { recursive: true }));

const JOB: StageJob = {
  runId: "run",
  id: "numbers",
  uses: "numbers",
  resource: "cpu",
  recipe: {},
  execution: {},
  retry: { attempts: 1, delayMs: 0, heartbeatMs: 1000, stallMs: 1000, graceMs: 1000 },
  inputs: {},
  seed: 1,
  baseDirectory: store,
  dtype: "fp32",
  queues: queuesOf("test"),
};

process.env.DIFFUCODER_STAGES = TEST_STAGES;

function start(env: Record<string, string> = {}) {
  const child = spawn(process.execPath, nodeArguments("stage-process"), {
    stdio: ["pipe", "ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
  });
  const assign = (job: StageJob, code = codeVersion()) => child.stdin!.write(`${JSON.stringify({ job, part: null, store, code } satisfies StageAssignment)}\n`);
  const messages = createInterface({ input: child.stdio[3] as NodeJS.ReadableStream });
  return { child, assign, messages };
}

test("a stage process says how its stage ended, with a typed failure", async () => {
  const { child, assign, messages } = start();
  assign({ ...JOB, recipe: { count: "many" } });
  const [line] = (await once(messages, "line")) as [string];
  expect(JSON.parse(line) as StageMessage).toMatchObject({ failure: { code: "InvalidRecipe", retryable: false } });
  expect(await once(child, "exit")).toEqual([0, null]);
});

test("it refuses to run when sources have changed since it was started: what it loaded may be older than what would be recorded", async () => {
  const { child, assign, messages } = start();
  assign({ ...JOB, seed: 4 }, "earlier");
  const [line] = (await once(messages, "line")) as [string];
  expect(JSON.parse(line) as StageMessage).toMatchObject({ failure: { code: "SourcesChanged", retryable: true, message: expect.stringContaining("stage numbers: ") as string } });
  expect(await once(child, "exit")).toEqual([0, null]);
});

test("it ends by itself when the worker's end of its standard input is gone", async () => {
  const { child } = start();
  child.stdin!.end();
  expect(await once(child, "exit")).toEqual([70, null]);
});

test.each(["train", "cpu"] as const)("a stage of resource %s tells its progress and result why it computes more slowly than it could, if it computes", async (resource) => {
  const { child, assign, messages } = start({ TEST_SLOWER_BECAUSE: "no kernels." });
  const told: StageMessage[] = [];
  messages.on("line", (line: string) => told.push(JSON.parse(line) as StageMessage));
  assign({ ...JOB, resource, recipe: { count: 3 }, seed: resource === "train" ? 2 : 3 });
  await once(child, "exit");
  const notes = told.flatMap((message) => ("progress" in message ? [message.progress.note] : []));
  const last = told.at(-1) as { result: { summary: JsonObject } };
  expect(notes.length).toBeGreaterThan(0);
  for (const note of notes) expect(note?.endsWith("no kernels.") ?? false).toBe(resource === "train");
  expect(last.result.summary.slowerBecause).toBe(resource === "train" ? "no kernels." : undefined);
});
