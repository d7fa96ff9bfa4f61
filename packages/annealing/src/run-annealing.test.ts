import { readFile } from "node:fs/promises";
import { createProgram } from "@diffucoder/engine";
import { openShards } from "@diffucoder/formats";
import { findCached, resolveStage, type ArtifactRef, type StageOutcome } from "@diffucoder/lineage";
import { diffusionFeeds, diffusionLossGraph, parameterCount, parameterShapes, toHuggingFace, trainingFlopsPerToken, trainingMemoryBytes } from "@diffucoder/model";
import { failureOf, openFilesOf, tinyModel, tokenizerOf } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { ledgerEntry, parseLedger, shardBatches } from "@diffucoder/training";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HISTORY, RECIPE, SEED, Workplace } from "../test/fixtures.ts";
import { recipeSchema } from "./config.ts";
import { annealingStage } from "./run-annealing.ts";

let workplace: Workplace;
let tokenizer: Tokenizer;
let shards: ArtifactRef;
let checkpoint: ArtifactRef;
let first: StageOutcome;

beforeAll(async () => {
  workplace = await Workplace.open();
  tokenizer = await tokenizerOf(300);
  shards = await workplace.shards(tokenizer);
  checkpoint = await workplace.newCheckpoint(tokenizer);
  first = await workplace.run({ shards, checkpoint });
}, 60_000);

afterAll(() => workplace.close());

test("the validation loss falls", async () => {
  const { summary } = await workplace.run({ shards, checkpoint }, { recipe: { steps: 80, noise: { levels: "stratified" } } });
  const { validationLossAtStart, validationLossAtEnd } = summary as Record<string, number>;
  expect(validationLossAtEnd).toBeLessThan(0.7 * validationLossAtStart!);
  expect(summary).toMatchObject({ stage: "annealing", steps: 80, tokens: 80 * 4 * 16 });
});

test("training goes on with the checkpoint's weights, history and metrics", async () => {
  // A learning rate that is 0 in fp32 moves no weight: what comes out is what training began with.
  const still = await workplace.run({ shards, checkpoint }, { recipe: { steps: 1, optimizer: { learningRate: 1e-60, weightDecay: 0 } } });
  const [before, after] = [await workplace.checkpoint(checkpoint), await workplace.checkpoint(still.outputs.checkpoint!)];
  expect(after.parameters).toEqual(before.parameters);
  expect(after.config).toEqual({ ...before.config, head_dim: 8 });
  expect(after.tokenizerJson).toBe(before.tokenizerJson);
  expect(after.metrics.slice(0, -1)).toEqual(before.metrics);
  expect(after.metrics.at(-1)).toMatchObject({ stage: "annealing", step: 1 });
  const { loaderWaitShare, ...told } = still.summary;
  expect(loaderWaitShare).toEqual(expect.any(Number));
  expect((await workplace.store.artifacts.manifest(still.outputs.checkpoint!)).meta).toMatchObject({ stage: "annealing", step: 1, history: [...HISTORY, told] });
});

test("every step is on full attention and draws from the stage's own order", async () => {
  const open = (split: string) => openShards((path) => workplace.store.artifacts.file(shards, `${split}/${path}`));
  const [train, validation] = [await open("train"), await open("validation")];
  const source = shardBatches({ stage: "annealing", seed: SEED, recipe: recipeSchema.parse(RECIPE), maskId: tinyModel(tokenizer).maskId, train, validation, annealingSteps: 0 });
  const ledger = parseLedger(await readFile(await workplace.store.artifacts.file(first.outputs.checkpoint!, "ledger.jsonl"), "utf8"));
  expect(ledger).toHaveLength(6);
  for (const { step } of ledger) {
    const batch = await source.trainingBatch(step);
    expect(batch.attentionBias).toBeUndefined();
    expect(ledger[step - 1]).toEqual(ledgerEntry(step, 4, batch.documents));
  }
  const model = tinyModel(tokenizer);
  const rowCapacity = 4 * 16;
  const graphs = { loss: diffusionLossGraph(model, { batchSize: 4, canvasLength: 16, rowCapacity, annealed: false }) };
  const program = await createProgram({ variables: parameterShapes(model), dtype: "fp32", graphs });
  program.writeVariables((await workplace.checkpoint(checkpoint)).parameters);
  const expected = program.run("loss", { ...diffusionFeeds({ ...(await source.trainingBatch(1)), rowCapacity }) }).loss![0]!;
  program.dispose();
  const { metrics } = await workplace.checkpoint(first.outputs.checkpoint!);
  expect(metrics.find(({ stage }) => stage === "annealing")!.loss).toBeCloseTo(expected, 4);
  await train.close();
  await validation.close();
});

test("stopped and resumed, the stage gives the same bytes", async () => {
  const store = await workplace.anotherStore();
  expect([await workplace.shards(tokenizer, store), await workplace.newCheckpoint(tokenizer, store)]).toEqual([shards, checkpoint]);
  const abort = new AbortController();
  const onProgress = ({ unit, step }: { unit: string; step: number }) => {
    if (unit === "steps" && step === 3) abort.abort();
  };
  const execution = { checkpointEverySteps: 2 };
  const error = await failureOf(workplace.run({ shards, checkpoint }, { store, execution, signal: abort.signal, onProgress }));
  expect(error).toMatchObject({ code: "StageCancelled", message: "stage annealing: stopped on request after step 3" });
  const steps: number[] = [];
  const resumed = await workplace.run({ shards, checkpoint }, { store, execution, onProgress: ({ unit, step }) => unit === "steps" && steps.push(step) });
  expect(steps).toEqual([4, 5, 6]);
  expect(resumed.outputs).toEqual(first.outputs);
  expect((await store.records.checkpoints(resumed.key)).map(({ step }) => step).sort()).toEqual([2, 3, 4]);
});

test("shards of another tokenizer than the checkpoint's are refused, and nothing comes out", async () => {
  const inputs = { shards: await workplace.shards(await tokenizerOf(270)), checkpoint };
  const error = await failureOf(workplace.run(inputs));
  expect(error).toMatchObject({ code: "UnusableData", message: expect.stringContaining("expected the checkpoint's tokenizer") as string });
  const request = { recipe: RECIPE, execution: {}, inputs, seed: SEED, baseDirectory: "/" };
  expect(await findCached(workplace.store, (await resolveStage(annealingStage, request, "fp32")).key)).toBeUndefined();
});

test("without a checkpoint there is nothing to go on with", async () => {
  expect(await failureOf(workplace.run({ shards }))).toMatchObject({ code: "InvalidRecipe", message: expect.stringContaining("inputs.checkpoint: expected a checkpoint artifact, found nothing") as string });
});

test("no shard stays open behind the stage, however it ended", () => {
  expect(openFilesOf(workplace.store)).toEqual([]); // of all runs above
});

test("a plan counts the checkpoint's model and hands its facts on", () => {
  const model = tinyModel(tokenizer);
  const facts = { model: toHuggingFace(model) as never, vocabSize: 5 };
  const tokens = 6 * 4 * 16;
  expect(annealingStage.plan!(recipeSchema.parse(RECIPE), { checkpoint: { facts } })).toEqual({
    tokens,
    flops: tokens * trainingFlopsPerToken(model, 16),
    parameterCount: parameterCount(model),
    peakMemoryBytes: trainingMemoryBytes(model, 4 * 16),
    facts,
  });
});

test.each([{}, { checkpoint: {} }])("a plan without a planned model, %j, is refused", (inputs) => {
  expect(() => annealingStage.plan!(recipeSchema.parse({ steps: 1 }), inputs)).toThrow("stage annealing: expected an input `checkpoint` whose plan tells its model, found none");
});
