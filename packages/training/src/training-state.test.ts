import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { NamedTensor } from "@diffucoder/formats";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Workplace } from "../test/fixtures.ts";
import { ledgerEntry } from "./ledger.ts";
import { candidatePath, readTraining, writeTraining, type TrainingState } from "./training-state.ts";

let workplace: Workplace;
beforeAll(async () => {
  workplace = await Workplace.open();
});
afterAll(() => workplace.close());

const tensors = (value: number): Map<string, NamedTensor> => new Map([["w", { shape: [2], data: Float32Array.of(value, 0.1) }]]);
const weights = { config: { hidden_size: 2 }, parameters: tensors(1), tokenizerJson: "{}", optimizer: { first: tensors(2), second: tensors(3) } };

async function survivor(state: TrainingState) {
  const directory = await workplace.directory();
  await writeTraining(directory, state, weights);
  const { artifacts } = await workplace.store();
  return { directory, ...(await readTraining(artifacts, await artifacts.publish("checkpoint", directory, {}))) };
}

test("a state survives being written, published and read", async () => {
  const state: TrainingState = {
    step: 7,
    validationLossAtStart: 3.25,
    metrics: [{ stage: "s", step: 7, loss: 0.1 }],
    ledger: [ledgerEntry(6, 2, ["a"]), ledgerEntry(7, 2, ["b"])],
    candidates: new Map([[5, tensors(5)], [2, tensors(6)]]),
    rollbacks: [{ fromStep: 7, toStep: 4, batches: [5, 8], loss: "NaN", gradientNorm: "NaN" }],
    kept: { step: 4, parameters: tensors(7), optimizer: { first: tensors(8), second: tensors(9) } },
  };
  const read = await survivor(state);
  expect(read.state).toEqual(state);
  expect([...read.state.candidates.keys()]).toEqual([5, 2]);
  expect(read.checkpoint).toMatchObject(weights);
  expect((await readdir(join(read.directory, "kept"))).sort()).toEqual(["first-moment.safetensors", "model.safetensors", "second-moment.safetensors"]);
  expect((await readdir(join(read.directory, "candidates"))).sort()).toEqual(["step-000002.safetensors", "step-000005.safetensors"]);
});

test("a state before the first step survives too, without candidates", async () => {
  const state: TrainingState = { step: 0, validationLossAtStart: 3, metrics: [], ledger: [], candidates: new Map(), rollbacks: [] };
  const read = await survivor(state);
  expect(read.state).toEqual(state);
  const files = await readdir(read.directory);
  for (const absent of ["candidates", "kept"]) expect(files).not.toContain(absent);
  expect(Object.keys(read.checkpoint.trainerState as object)).toEqual(["step", "validationLossAtStart", "candidates"]);
});

test("kept weights lie under their step, so that names sort as steps do", () => {
  expect(candidatePath(1)).toBe("candidates/step-000001.safetensors");
  expect([candidatePath(90), candidatePath(1000)].sort()).toEqual([candidatePath(90), candidatePath(1000)]);
});
