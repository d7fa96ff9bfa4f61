import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test } from "vitest";
import { nodeArguments } from "./source-mode.ts";
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

function start() {
  const child = spawn(process.execPath, nodeArguments("stage-process"), {
    stdio: ["pipe", "ignore", "ignore", "pipe"],
    env: { ...process.env, DIFFUCODER_STAGES: TEST_STAGES },
  });
  const assign = (job: StageJob) => child.stdin!.write(`${JSON.stringify({ job, part: null, store } satisfies StageAssignment)}\n`);
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

test("it ends by itself when the worker's end of its standard input is gone", async () => {
  const { child } = start();
  child.stdin!.end();
  expect(await once(child, "exit")).toEqual([70, null]);
});
