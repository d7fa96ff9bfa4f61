import { readFile } from "node:fs/promises";
import { createProgram } from "@diffucoder/engine";
import { readSafetensors } from "@diffucoder/formats";
import { findCached, resolveStage, type ArtifactRef, type StageOutcome } from "@diffucoder/lineage";
import { diffusionFeeds, diffusionLossGraph, initialParameters, parameterCount, parameterShapes, toHuggingFace, trainingFlopsPerToken, trainingMemoryBytes } from "@diffucoder/model";
import { generateTasks, type TaskSplit } from "@diffucoder/tasks";
import { failureOf, tinyModel } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { candidatePath, ledgerEntry, parseLedger } from "@diffucoder/training";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CANVAS, RECIPE, SEED, Workplace, tinyTokenizer } from "../test/fixtures.ts";
import { recipeSchema } from "./config.ts";
import { instructionBatches, layOutTask } from "./instruction-batches.ts";
import { instructionTuningStage } from "./run-instruction-tuning.ts";

let workplace: Workplace;
let tokenizer: Tokenizer;
let checkpoint: ArtifactRef;
let first: StageOutcome;

beforeAll(async () => {
  workplace = await Workplace.open();
  tokenizer = await tinyTokenizer();
  checkpoint = await workplace.newCheckpoint(tokenizer);
  first = await workplace.run(checkpoint);
}, 60_000);

afterAll(() => workplace.close());

/** The stage's batches, made here from the tasks that it is said to use. */
function expectedBatches() {
  const model = tinyModel(tokenizer);
  const samples = (split: TaskSplit, count: number) =>
    generateTasks({ families: ["linear"], split, count, seed: SEED }).map((task) => layOutTask(task, tokenizer, model.padId, CANVAS));
  return instructionBatches({ seed: SEED, recipe: recipeSchema.parse(RECIPE), model, train: samples("train", 16), validation: samples("selection", 64) });
}

test("the validation loss falls", async () => {
  const { summary } = await workplace.run(checkpoint, { recipe: { steps: 80, noise: { levels: "stratified" } } });
  const { validationLossAtStart, validationLossAtEnd } = summary as Record<string, number>;
  expect(validationLossAtEnd).toBeLessThan(0.6 * validationLossAtStart!);
  expect(summary).toMatchObject({ stage: "instruction-tuning", steps: 80, tokens: 80 * 4 * CANVAS });
});

test("training is on tasks of the train split, as its ledger proves", async () => {
  const ledger = parseLedger(await readFile(await workplace.store.artifacts.file(first.outputs.checkpoint!, "ledger.jsonl"), "utf8"));
  expect(ledger).toHaveLength(6);
  for (const entry of ledger) {
    const { documents } = await expectedBatches().trainingBatch(entry.step);
    expect(entry).toEqual(ledgerEntry(entry.step, 4, documents));
  }
});

test("validation is on tasks of the selection split, prompts visible", async () => {
  const model = tinyModel(tokenizer);
  const rowCapacity = 4 * CANVAS;
  const graphs = { loss: diffusionLossGraph(model, { batchSize: 4, canvasLength: CANVAS, rowCapacity, annealed: false }) };
  const program = await createProgram({ variables: parameterShapes(model), dtype: "fp32", graphs });
  program.writeVariables(initialParameters(model, SEED));
  let sum = 0;
  for (const index of [0, 1]) sum += program.run("loss", { ...diffusionFeeds({ ...(await expectedBatches().validationBatch(index)), rowCapacity }) }).loss![0]!;
  program.dispose();
  expect(first.summary.validationLossAtStart).toBeCloseTo(sum / 2, 4);
});

test("the result keeps the weights of the steps asked for, for reinforcement to choose from", async () => {
  const { artifacts } = workplace.store;
  const { meta, files } = await artifacts.manifest(first.outputs.checkpoint!);
  const { loaderWaitShare, ...told } = first.summary;
  expect(loaderWaitShare).toEqual(expect.any(Number));
  expect(meta).toMatchObject({ stage: "instruction-tuning", step: 6, candidates: [2, 4], history: [told], parameterCount: parameterCount(tinyModel(tokenizer)) });
  expect(files.map(({ path }) => path).filter((path) => path.startsWith("candidates/"))).toEqual([candidatePath(2), candidatePath(4)]);
  const weights = await Promise.all([2, 4].map(async (step) => readSafetensors(await artifacts.file(first.outputs.checkpoint!, candidatePath(step)))));
  expect(weights[0]).not.toEqual(weights[1]);
});

test("training begins with the checkpoint's weights and keeps its tokenizer; its longest canvas grows", async () => {
  // A learning rate that is 0 in fp32 moves no weight: what comes out is what training began with.
  const still = await workplace.run(checkpoint, { recipe: { steps: 1, keepSteps: [], optimizer: { learningRate: 1e-60, weightDecay: 0 } } });
  const [before, after] = [await workplace.checkpoint(checkpoint), await workplace.checkpoint(still.outputs.checkpoint!)];
  expect(after.parameters).toEqual(before.parameters);
  expect(after.tokenizerJson).toBe(before.tokenizerJson);
  expect(after.config).toEqual({ ...before.config, max_position_embeddings: CANVAS });
});

test("stopped and resumed, the stage gives the same bytes, kept steps and all", async () => {
  const store = await workplace.anotherStore();
  expect(await workplace.newCheckpoint(tokenizer, store)).toEqual(checkpoint);
  const abort = new AbortController();
  const onProgress = ({ unit, step }: { unit: string; step: number }) => {
    if (unit === "steps" && step === 3) abort.abort();
  };
  const error = await failureOf(workplace.run(checkpoint, { store, signal: abort.signal, onProgress }));
  expect(error).toMatchObject({ code: "StageCancelled", message: "stage instruction-tuning: stopped on request after step 3" });
  const steps: number[] = [];
  const resumed = await workplace.run(checkpoint, { store, onProgress: ({ unit, step }) => unit === "steps" && steps.push(step) });
  expect(steps).toEqual([4, 5, 6]);
  expect(resumed.outputs).toEqual(first.outputs);
});

test("how often checkpoints are saved does not change the result", async () => {
  const store = await workplace.anotherStore();
  await workplace.newCheckpoint(tokenizer, store);
  const outcome = await workplace.run(checkpoint, { store, execution: { checkpointEverySteps: 4 } });
  expect(outcome.outputs).toEqual(first.outputs);
  expect((await store.records.checkpoints(outcome.key)).map(({ step }) => step)).toEqual([4]);
});

test("a canvas that a task does not fit on is refused, and nothing comes out", async () => {
  const recipe = { ...RECIPE, canvasLength: 42 };
  const error = await failureOf(workplace.run(checkpoint, { recipe }));
  expect(error).toMatchObject({ code: "InvalidRecipe", message: expect.stringMatching(/^stage instruction-tuning: canvasLength: expected at least 43 for task linear\/[0-9a-f]{12} /) as string });
  const request = { recipe, execution: {}, inputs: { checkpoint }, seed: SEED, baseDirectory: "/" };
  expect(await findCached(workplace.store, (await resolveStage(instructionTuningStage, request, "fp32")).key)).toBeUndefined();
});

test("an unknown task family is refused by name", async () => {
  const error = await failureOf(workplace.run(checkpoint, { recipe: { tasks: { families: ["loops"], count: 4 } } }));
  expect(error).toMatchObject({ code: "UnknownFamily", message: expect.stringContaining("found loops") as string });
});

test("a plan counts the checkpoint's model and hands its facts on", () => {
  const model = tinyModel(tokenizer);
  const facts = { model: toHuggingFace(model) as never };
  const tokens = 6 * 4 * CANVAS;
  expect(instructionTuningStage.plan!(recipeSchema.parse(RECIPE), { checkpoint: { facts } })).toEqual({
    tokens,
    flops: tokens * trainingFlopsPerToken(model, CANVAS),
    parameterCount: parameterCount(model),
    peakMemoryBytes: trainingMemoryBytes(model, 4 * CANVAS),
    facts,
  });
});

test.each([{}, { checkpoint: {} }])("a plan without a planned model, %j, is refused", (inputs) => {
  expect(() => instructionTuningStage.plan!(recipeSchema.parse({ steps: 1 }), inputs)).toThrow("stage instruction-tuning: expected an input `checkpoint` whose plan tells its model, found none");
});
