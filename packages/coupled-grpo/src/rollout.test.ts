import { createSampler, initialParameters, type ModelSampler } from "@diffucoder/model";
import { renderPrompt } from "@diffucoder/tasks";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CANVAS, SEED, reinforcementTasks, tinyModel, tinyTokenizer } from "../test/fixtures.ts";
import { encodeTask, liveLengthOf, rollOut, type EncodedTask, type Rollout, type RolloutRecipe } from "./rollout.ts";

const RECIPE: RolloutRecipe = { steps: 7, algorithm: "entropy", temperature: 1, topP: 1 };
let tokenizer: Tokenizer;
let sampler: ModelSampler;
let tasks: EncodedTask[];

beforeAll(async () => {
  tokenizer = await tinyTokenizer();
  tasks = reinforcementTasks.map((task) => encodeTask(task, tokenizer));
  const model = tinyModel(tokenizer);
  sampler = await createSampler(model, { batchSize: 6, canvasLength: CANVAS, windowLength: CANVAS - tasks[0]!.prompt.length, dtype: "fp32" });
  sampler.setParameters(initialParameters(model, SEED));
});

afterAll(() => sampler.dispose());

const sample = (recipe: Partial<RolloutRecipe> = {}, step = 1): Rollout[] =>
  rollOut(sampler, tasks, {
    groupSize: 3,
    recipe: { ...RECIPE, ...recipe },
    model: tinyModel(tokenizer),
    tokenizer,
    streamOf: (index) => ({ seed: SEED, stage: "test", step, sample: index, purpose: "rollout" }),
  });

test("a task's prompt is encoded with its special tokens", () => {
  expect(tokenizer.decode(tasks[0]!.prompt)).toBe(renderPrompt(reinforcementTasks[0]!));
  expect(tasks[0]!.prompt[0]).toBe(tokenizer.id("<|im_start|>"));
  expect(tasks[0]!.task).toBe(reinforcementTasks[0]);
});

test("the completions of a task lie next to each other, each behind its prompt", () => {
  const rollouts = sample();
  expect(rollouts.map(({ task }) => task)).toEqual([0, 0, 0, 1, 1, 1].map((task) => reinforcementTasks[task]));
  rollouts.forEach(({ tokens, promptLength }, i) => {
    expect(tokens.length).toBe(CANVAS);
    expect([...tokens.subarray(0, promptLength)]).toEqual([...tasks[Math.floor(i / 3)]!.prompt]);
  });
  expect(new Set(rollouts.map(({ tokens }) => tokens.join())).size).toBe(6);
});

test("the trace tells the step that fixed each position, every one once", () => {
  for (const { trace, promptLength } of sample()) {
    expect(trace.length).toBe(CANVAS - promptLength);
    for (const step of trace) expect(step).toBeGreaterThanOrEqual(0);
    for (const step of trace) expect(step).toBeLessThan(RECIPE.steps);
    expect(new Set(trace).size).toBeGreaterThan(2);
  }
});

test("the same streams draw the same rollouts, others draw others", () => {
  expect(sample()).toEqual(sample());
  expect(sample({}, 2).map(({ tokens }) => tokens.join())).not.toEqual(sample().map(({ tokens }) => tokens.join()));
});

test("steps, algorithm, temperature and topP reach the decoder", () => {
  const traces = (recipe: Partial<RolloutRecipe>) => sample(recipe).map(({ trace }) => trace.join());
  const tokens = (recipe: Partial<RolloutRecipe>) => sample(recipe).map((rollout) => rollout.tokens.join());
  expect(Math.max(...sample({ steps: 3 }).flatMap(({ trace }) => [...trace]))).toBe(2);
  expect(traces({ algorithm: "origin" })).not.toEqual(traces({}));
  expect(tokens({ temperature: 0.2 })).not.toEqual(tokens({}));
  expect(tokens({ topP: 0.3 })).not.toEqual(tokens({}));
});

test("blocks, parallel decoding and an early stop reach the decoder", () => {
  const traces = (recipe: Partial<RolloutRecipe>) => sample(recipe).map(({ trace }) => [...trace]);
  for (const trace of traces({ blockLength: 5 })) {
    for (const [offset, step] of trace.entries()) if (offset >= 5) expect(step).toBeGreaterThan(Math.max(...trace.slice(0, 5)));
  }
  for (const trace of traces({ algorithm: "maskgit_plus", threshold: 0 })) expect(new Set(trace)).toEqual(new Set([0])); // all are surer than that
  expect(traces({ algorithm: "maskgit_plus", factor: 1e-9 })).not.toEqual(traces({ algorithm: "maskgit_plus" }));
  const end = tokenizer.id("<|im_end|>");
  // So hot that an end stands early in some.
  const stopped = Array.from({ length: 24 }, (_, step) => sample({ temperature: 30, steps: 12, stopAtEnd: true }, step)).flat().filter(({ trace }) => trace.includes(-1));
  expect(stopped.length).toBeGreaterThan(0);
  for (const { tokens, trace, promptLength, liveLength } of stopped) {
    expect(tokens[promptLength + liveLength - 1]).toBe(end);
    expect([...trace.subarray(0, liveLength)]).not.toContain(-1);
    trace.forEach((step, offset) => step === -1 && expect(tokens[promptLength + offset]).toBe(tinyModel(tokenizer).padId));
  }
});

test("an answer lives up to and including its first end marker, or to the end of the canvas", () => {
  const canvas = Int32Array.of(9, 1, 2, 9, 3, 9);
  expect(liveLengthOf(canvas, 1, 9)).toBe(3); // tokens 1, 2, 9; the marker in the prompt does not count
  expect(liveLengthOf(canvas, 3, 9)).toBe(1);
  expect(liveLengthOf(canvas, 1, 7)).toBe(5);
});

test("completion and live length agree with the canvas", () => {
  const { padId, maskId } = tinyModel(tokenizer);
  const end = tokenizer.id("<|im_end|>");
  // So hot that all ids are about as likely, the special ones too.
  const rollouts = Array.from({ length: 24 }, (_, step) => sample({ temperature: 30, steps: 2 }, step)).flat();
  const ended = rollouts.filter(({ tokens, promptLength }) => tokens.includes(end, promptLength));
  expect(ended.length).toBeGreaterThan(0);
  expect(ended.length).toBeLessThan(rollouts.length);
  const answers = rollouts.flatMap(({ tokens, promptLength, liveLength }) => [...tokens.subarray(promptLength, promptLength + liveLength)]);
  expect(answers).toEqual(expect.arrayContaining([padId, maskId]));
  for (const { tokens, promptLength, liveLength, completion } of rollouts) {
    const live = [...tokens.subarray(promptLength, promptLength + liveLength)];
    expect(live.slice(0, -1)).not.toContain(end);
    expect(live.at(-1) === end).toBe(tokens.includes(end, promptLength));
    if (live.at(-1) !== end) expect(promptLength + liveLength).toBe(CANVAS);
    expect(completion).toBe(tokenizer.decode(live.filter((id) => id !== end && id !== padId && id !== maskId)));
  }
});
