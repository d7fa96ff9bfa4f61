import type { StageStatus } from "@diffucoder/orchestrator";
import { expect, test } from "vitest";
import { StageLines } from "./stage-line.ts";

const STAGE: StageStatus = { id: "pretraining", uses: "pretraining", state: "running", attempt: 1, recipe: {}, execution: {}, outputs: {} };
const at = (step: number, more: object = {}): StageStatus => ({ ...STAGE, progress: { step, totalSteps: 100, unit: "steps", ...more } });
const FAILURE = { code: "DiskFull", message: "store: expected room to write, found a full disk", retryable: false, details: {} };

test("a running stage tells step, rate, time left and figures, from the second sight on", () => {
  const lines = new StageLines();
  expect(lines.describe(at(10, { metrics: { loss: 3.2149 } }), 1000)).toBe("steps 10 of 100, loss 3.215");
  // 20 steps in 4 s, 70 to go.
  expect(lines.describe(at(30, { metrics: { loss: 2 } }), 5000)).toBe("steps 30 of 100, 5.0/s, 14.0 s left, loss 2.000");
  expect(lines.describe(at(30, { note: "validating" }), 5000)).toBe("steps 30 of 100, 5.0/s, 14.0 s left, validating");
});

test("a slow stage is told by the minute", () => {
  const lines = new StageLines();
  lines.describe(at(0), 0);
  expect(lines.describe(at(1), 30_000)).toBe("steps 1 of 100, 2.0/min, 49:30 left");
});

test("rates start anew with another attempt, another kind of work, or a step back", () => {
  const lines = new StageLines();
  lines.describe(at(10), 1000);
  expect(lines.describe({ ...at(20), attempt: 2 }, 2000)).toBe("steps 20 of 100 (attempt 2)");
  expect(lines.describe({ ...at(20, { unit: "rounds" }), attempt: 2 }, 3000)).toBe("rounds 20 of 100 (attempt 2)");
  expect(lines.describe({ ...at(5, { unit: "rounds" }), attempt: 2 }, 4000)).toBe("rounds 5 of 100 (attempt 2)");
  expect(lines.describe({ ...at(10, { unit: "rounds" }), attempt: 2 }, 5000)).toContain("5.0/s");
});

test("stages keep their rates apart", () => {
  const lines = new StageLines();
  lines.describe(at(0), 0);
  lines.describe({ ...at(50), id: "annealing" }, 0);
  expect(lines.describe(at(10), 1000)).toContain("10.0/s");
});

test("a later attempt says after what", () => {
  expect(new StageLines().describe({ ...STAGE, attempt: 3, error: FAILURE }, 0)).toBe("starting (attempt 3, after DiskFull)");
});

test.each<[string, Partial<StageStatus>]>([
  ["waiting", { state: "waiting" }],
  ["paused", { state: "paused" }],
  ["done in 1:05, validation loss 7.000 -> 5.500", { state: "done", wallMs: 65_000, summary: { validationLossAtStart: 7, validationLossAtEnd: 5.5 } }],
  ["done in 5.0 s, reward 0.500 -> 1.500", { state: "done", wallMs: 5000, summary: { rewardAtStart: 0.5, rewardAtEnd: 1.5 } }],
  ["cached (made in 5.0 s), 302 documents", { state: "cached", wallMs: 5000, summary: { documents: 302 } }],
  ["cached (made in 0.0 s), vocabulary of 400", { state: "cached", summary: { vocabSize: 400 } }],
  ["done in 5.0 s", { state: "done", wallMs: 5000 }],
  [`parked: ${FAILURE.message}`, { state: "parked", error: FAILURE }],
  ["failed: no reason given", { state: "failed" }],
])("a stage can be: %s", (text, change) => {
  expect(new StageLines().describe({ ...STAGE, ...change }, 0)).toBe(text);
});
