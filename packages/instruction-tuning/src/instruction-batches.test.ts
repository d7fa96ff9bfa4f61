// Axes: B canvases, T tokens per canvas.
import { sha256 } from "@diffucoder/lineage";
import { generateTasks, renderCompletion, renderPrompt, type CodeTask } from "@diffucoder/tasks";
import { tinyModel } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { fixedNoiseLevels, sampleOrder, type BatchSource } from "@diffucoder/training";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { CANVAS, RECIPE, SEED, tinyTokenizer } from "../test/fixtures.ts";
import { recipeSchema, type Recipe } from "./config.ts";
import { conditionShare, instructionBatches, layOutTask, type InstructionSample } from "./instruction-batches.ts";

const ALL_HIDDEN = { levels: "independent", smallest: 0.9999999 } as const;
let tokenizer: Tokenizer;
let padId: number;
let maskId: number;
let train: InstructionSample[];
let validation: InstructionSample[];

beforeAll(async () => {
  tokenizer = await tinyTokenizer();
  ({ padId, maskId } = tinyModel(tokenizer));
  const samples = (split: "train" | "selection", count: number) =>
    // Two families: prompts and answers of different lengths.
    generateTasks({ families: ["linear", "branch"], split, count, seed: SEED }).map((task) => layOutTask(task, tokenizer, padId, 80));
  [train, validation] = [samples("train", 12), samples("selection", 6)];
});

function batches(changes: Partial<Recipe> = {}, seed = SEED): BatchSource {
  const recipe = recipeSchema.parse({ ...RECIPE, canvasLength: 80, ...changes });
  return instructionBatches({ seed, recipe, model: tinyModel(tokenizer), train, validation });
}

const taskOf = (instruction: string): CodeTask => ({ id: "linear/1", family: "linear", instruction, entryPoint: "f", solution: "def f(x):\n    return x\n", checks: [] });

test("a canvas holds prompt, answer and padding to its end", () => {
  const task = taskOf("ADD 1 MUL 2");
  const { tokens, promptLength, taskId } = layOutTask(task, tokenizer, padId, CANVAS);
  expect(taskId).toBe("linear/1");
  expect(tokens.length).toBe(CANVAS);
  expect(tokenizer.decode(tokens.subarray(0, promptLength))).toBe(renderPrompt(task));
  const end = tokens.indexOf(tokenizer.id("<|im_end|>"), promptLength);
  expect(tokenizer.decode(tokens.subarray(promptLength, end + 1))).toBe(renderCompletion(task));
  expect(end + 1).toBeLessThan(CANVAS);
  expect([...tokens.subarray(end + 1)]).toEqual(Array.from({ length: CANVAS - end - 1 }, () => padId));
});

test("a canvas as long as the task has no padding, and a shorter one is refused with what the task needs", () => {
  const task = taskOf("ADD 1 MUL 2");
  const needed = layOutTask(task, tokenizer, padId, CANVAS).tokens.indexOf(padId);
  expect(layOutTask(task, tokenizer, padId, needed).tokens).not.toContain(padId);
  const shorter = () => layOutTask(task, tokenizer, padId, needed - 1);
  expect(shorter).toThrow(`stage instruction-tuning: canvasLength: expected at least ${needed} for task linear/1 (ADD 1 MUL 2), found ${needed - 1}`);
  expect(shorter).toThrow(expect.objectContaining({ code: "InvalidRecipe" }) as Error);
});

test.each([
  [1, 10, 1, 0],
  [6, 10, 1, 0.5],
  [10, 10, 1, 0.9],
  [11, 10, 1, 1],
  [500, 10, 1, 1],
  [11, 10, 2, 0.5],
  [6, 10, 0.5, 1],
  [3, 2.5, 2, 0.4],
  [1, 10, 0, 1],
])("at step %d, of %d an epoch, prompts to be clean after %d epochs are clean with probability %d", (step, stepsPerEpoch, epochs, share) => {
  expect(conditionShare(step, stepsPerEpoch, epochs)).toBeCloseTo(share, 12);
});

test("once prompts are conditions, no noise ever touches them", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5000 }), fc.nat(1000), async (step, seed) => {
      const { canvases, originals, documents, maskableCount } = await batches({ conditionEpochs: 0 }, seed).trainingBatch(step);
      let maskable = 0;
      canvases.forEach(({ tokens, masked }, i) => {
        const { promptLength } = train.find(({ taskId }) => taskId === documents[i])!;
        for (const position of masked) expect(position).toBeGreaterThanOrEqual(promptLength);
        expect(tokens.subarray(0, promptLength)).toEqual(originals[i]!.slice(0, promptLength));
        maskable += 80 - promptLength;
      });
      expect(maskableCount).toBe(maskable);
    }),
    { numRuns: 40 },
  );
});

test("before that, prompts are noised like everything else", async () => {
  const { canvases, maskableCount } = await batches({ noise: ALL_HIDDEN }).trainingBatch(1);
  for (const { masked } of canvases) expect(masked).toEqual(Array.from({ length: 79 }, (_, i) => i + 1));
  expect(maskableCount).toBe(4 * 79); // no row predicts position 0
});

test("padding is hidden and learned like any other token", async () => {
  const { canvases, originals } = await batches({ conditionEpochs: 0, noise: ALL_HIDDEN }).trainingBatch(1);
  canvases.forEach(({ tokens, masked }, i) => {
    const pads = [...originals[i]!.keys()].filter((position) => originals[i]![position] === padId);
    expect(pads.length).toBeGreaterThan(0);
    expect(masked).toEqual(expect.arrayContaining(pads));
    for (const position of pads) expect(tokens[position]).toBe(maskId);
  });
});

test("in between, prompts are clean with the probability of the step, drawn for each canvas", async () => {
  // 12 tasks at 64 a batch over 100 epochs: 18.75 steps; step 10 leaves prompts clean with probability 0.48.
  const source = batches({ batchSize: 64, conditionEpochs: 100, noise: ALL_HIDDEN });
  const cleanAt = async (step: number) => (await source.trainingBatch(step)).canvases.map(({ masked }) => masked[0] !== 1);
  const share = async (step: number) => (await cleanAt(step)).filter(Boolean).length / 64;
  expect(await share(1)).toBe(0);
  expect(Math.abs((await share(10)) - 0.48)).toBeLessThan(0.25); // four sigma
  expect(Math.abs((await share(15)) - 0.747)).toBeLessThan(0.22);
  expect(await share(20)).toBe(1);
  expect(await cleanAt(10)).not.toEqual(await cleanAt(11));
});

test("each canvas has noise of its own: what one hides, a noisier one may show", async () => {
  const source = batches();
  for (const { canvases, documents } of [await source.trainingBatch(1), await source.validationBatch(0)]) {
    const [lowest, ...noisier] = canvases.toSorted((a, b) => a.noiseLevel - b.noiseLevel);
    const isAnswer = (position: number) => [...train, ...validation].every(({ taskId, promptLength }) => !documents.includes(taskId) || position >= promptLength);
    const answer = lowest!.masked.filter(isAnswer); // hidden prompts differ anyhow
    expect(noisier.filter(({ masked }) => answer.some((position) => !masked.includes(position))).length).toBeGreaterThan(0);
  }
});

test("validation keeps its prompts, its noise and its samples, and begins again when they run out", async () => {
  const source = batches({ noise: { levels: "independent", smallest: 0.4 } });
  const first = await source.validationBatch(0);
  await source.trainingBatch(1);
  expect(await source.validationBatch(0)).toEqual(first);
  expect(first.canvases.map(({ noiseLevel }) => noiseLevel)).toEqual(fixedNoiseLevels(4, 0.4));
  first.canvases.forEach(({ masked }, i) => expect(Math.min(...masked)).toBeGreaterThanOrEqual(validation[i]!.promptLength));
  const ids = validation.map(({ taskId }) => taskId);
  expect(first.documents).toEqual(ids.slice(0, 4));
  const second = await source.validationBatch(1);
  expect(second.documents).toEqual([ids[4], ids[5], ids[0], ids[1]]);
  expect(second.canvases.map(({ masked }) => masked)).not.toEqual(first.canvases.map(({ masked }) => masked));
});

test("training draws every task once an epoch, in the order of seed and tasks", async () => {
  const order = sampleOrder({ seed: SEED, stage: "instruction-tuning", root: sha256(train.map(({ taskId }) => taskId).join("\n")), sampleCount: 12 });
  const source = batches();
  const drawn = [];
  for (let step = 1; step <= 6; step++) {
    const { documents, originals } = await source.trainingBatch(step);
    const expected = [0, 1, 2, 3].map((i) => train[order((step - 1) * 4 + i)]!);
    expect(documents).toEqual(expected.map(({ taskId }) => taskId));
    expect(originals).toEqual(expected.map(({ tokens }) => tokens));
    drawn.push(...documents);
  }
  for (const epoch of [drawn.slice(0, 12), drawn.slice(12)]) expect(new Set(epoch).size).toBe(12);
});

test("a batch is a function of step and seed", async () => {
  const own = await batches().trainingBatch(7);
  const source = batches();
  await source.trainingBatch(1);
  expect(await source.trainingBatch(7)).toEqual(own);
  expect((await source.trainingBatch(8)).canvases).not.toEqual(own.canvases);
  expect((await batches({}, SEED + 1).trainingBatch(7)).canvases).not.toEqual(own.canvases);
  expect(own.canvases.map(({ masked }) => masked.join())).toHaveLength(new Set(own.canvases.map(({ masked }) => masked.join())).size);
  expect(source.annealed).toBe(false);
  expect(own.attentionBias).toBeUndefined();
});

test("stratified noise levels of the recipe are used", async () => {
  const { canvases } = await batches({ batchSize: 8, noise: { levels: "stratified", smallest: 0.2 } }).trainingBatch(1);
  const levels = canvases.map(({ noiseLevel }) => noiseLevel).sort((a, b) => a - b);
  for (let i = 1; i < 8; i++) expect(levels[i]! - levels[i - 1]!).toBeCloseTo(0.1, 9);
});
