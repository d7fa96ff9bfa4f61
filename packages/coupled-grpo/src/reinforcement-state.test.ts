import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { NamedTensor } from "@diffucoder/formats";
import { TemporaryStore } from "@diffucoder/test-kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROLLOUTS_FILE, readReinforcement, writeReinforcement, type ReinforcementState } from "./reinforcement-state.ts";

let workplace: TemporaryStore;
beforeAll(async () => {
  workplace = await TemporaryStore.open();
});
afterAll(() => workplace.close());

const tensors = (value: number): Map<string, NamedTensor> => new Map([["w", { shape: [2], data: Float32Array.of(value, 0.1) }]]);

const weights = { config: { hidden_size: 2 }, parameters: tensors(1), tokenizerJson: "{}", optimizer: { first: tensors(2), second: tensors(3) } };

const state: ReinforcementState = {
  round: 4,
  startStep: 50,
  measured: [{ step: 50, passRate: 0.25, mixedGroups: 0.5 }],
  reference: tensors(5),
  metrics: [{ stage: "coupled-grpo", step: 4, reward: 0.5 }],
  rollouts: ['{"round":4}', '{"round":4,"sample":1}'],
};

test("a state survives being written, published and read", async () => {
  const directory = await workplace.directory();
  await writeReinforcement(directory, state, weights);
  const ref = await workplace.store.artifacts.publish("checkpoint", directory, {});
  const read = await readReinforcement(workplace.store.artifacts, ref);
  expect(read.state).toEqual(state);
  expect(read.checkpoint).toMatchObject(weights);
});

test("rollouts are one line of JSON each, and a state before the first round has none", async () => {
  const directory = await workplace.directory();
  await writeReinforcement(directory, state, weights);
  expect(await readFile(join(directory, ROLLOUTS_FILE), "utf8")).toBe('{"round":4}\n{"round":4,"sample":1}\n');
  const empty = { ...state, round: 0, rollouts: [], metrics: [] };
  await writeReinforcement(directory, empty, weights);
  const ref = await workplace.store.artifacts.publish("checkpoint", directory, {});
  expect((await readReinforcement(workplace.store.artifacts, ref)).state).toEqual(empty);
});
