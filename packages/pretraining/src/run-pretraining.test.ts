import { findCached, resolveStage, type ArtifactRef, type StageOutcome } from "@diffucoder/lineage";
import { initialParameters, parameterCount, toHuggingFace, trainingFlopsPerToken, trainingMemoryBytes, type ModelConfig } from "@diffucoder/model";
import { failureOf, openFilesOf, tokenizerOf } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ARCHITECTURE, RECIPE, SEED, Workplace } from "../test/fixtures.ts";
import { recipeSchema } from "./config.ts";
import { pretrainingStage } from "./run-pretraining.ts";

/** A learning rate that is 0 in fp32 moves no weight: what comes out is what training began with. */
const STILL = { steps: 1, optimizer: { learningRate: 1e-60, weightDecay: 0 } };

/** What a checkpoint's history tells of a run: its summary, but for how long the loop waited. */
const told = ({ summary: { loaderWaitShare, ...figures } }: StageOutcome) => (expect(loaderWaitShare).toEqual(expect.any(Number)), figures);

let workplace: Workplace;
let tokenizer: Tokenizer;
let shards: ArtifactRef;
let first: StageOutcome;
let model: ModelConfig;

beforeAll(async () => {
  workplace = await Workplace.open();
  tokenizer = await tokenizerOf(300);
  shards = await workplace.shards(tokenizer);
  first = await workplace.run({ shards }, { recipe: { annealingSteps: 4 } });
  const { architecture } = recipeSchema.parse(RECIPE);
  model = { ...architecture!, vocabSize: tokenizer.vocabSize, maskId: tokenizer.id("<|mask|>"), padId: tokenizer.id("<|dlm_pad|>"), maxPositions: 16 };
}, 60_000);

afterAll(() => workplace.close());

test("a new model learns: its validation loss falls from that of guessing", async () => {
  const { summary } = await workplace.run({ shards }, { recipe: { steps: 80, annealingSteps: 20, noise: { levels: "stratified" } } });
  const { validationLossAtStart, validationLossAtEnd, uniformLoss } = summary as Record<string, number>;
  expect(uniformLoss).toBe(Math.log(tokenizer.vocabSize));
  expect(validationLossAtStart! / uniformLoss!).toBeCloseTo(1, 0);
  expect(validationLossAtEnd).toBeLessThan(0.7 * validationLossAtStart!);
  expect(summary).toMatchObject({ stage: "pretraining", steps: 80, tokens: 80 * 4 * 16 });
});

test("a new model has the recipe's architecture, the shards' vocabulary and weights drawn by the seed", async () => {
  const fresh = await workplace.run({ shards }, { recipe: STILL });
  const { config, parameters, tokenizerJson } = await workplace.checkpoint(fresh.outputs.checkpoint!);
  expect(config).toEqual(toHuggingFace(model));
  expect(parameters).toEqual(initialParameters(model, SEED));
  expect(tokenizerJson).toBe(tokenizer.toJson());
  const other = await workplace.checkpoint((await workplace.run({ shards }, { recipe: STILL, seed: 4 })).outputs.checkpoint!);
  expect(other.parameters).not.toEqual(parameters);
  const { meta } = await workplace.store.artifacts.manifest(fresh.outputs.checkpoint!);
  expect(meta).toMatchObject({ stage: "pretraining", step: 1, parameterCount: parameterCount(model), history: [told(fresh)] });
});

test("from a checkpoint, training goes on with its weights, history and metrics", async () => {
  const checkpoint = first.outputs.checkpoint!;
  const next = await workplace.run({ shards, checkpoint }, { recipe: { ...STILL, architecture: undefined } });
  const [before, after] = [await workplace.checkpoint(checkpoint), await workplace.checkpoint(next.outputs.checkpoint!)];
  expect(after.parameters).toEqual(before.parameters);
  expect(after.config).toEqual(before.config);
  expect(after.metrics.slice(0, -1)).toEqual(before.metrics);
  expect(next.summary.validationLossAtStart).toBe(first.summary.validationLossAtEnd);
  expect((await workplace.store.artifacts.manifest(next.outputs.checkpoint!)).meta.history).toEqual([told(first), told(next)]);
});

test("an autoregressive model learns to predict what comes next, and is a start that adaptation gains from", async () => {
  const length = { steps: 80, optimizer: { learningRate: 0.01, warmupSteps: 2 } };
  const next = await workplace.run({ shards }, { recipe: { ...length, objective: "autoregressive" } });
  const { validationLossAtStart, validationLossAtEnd, uniformLoss } = next.summary as Record<string, number>;
  expect(validationLossAtStart! / uniformLoss!).toBeCloseTo(1, 0);
  expect(validationLossAtEnd).toBeLessThan(0.5 * validationLossAtStart!);
  // Every token but the first counts alike, so both normalisers and the plain mean are one number.
  for (const { loss, lossPerMasked, crossEntropy } of (await workplace.checkpoint(next.outputs.checkpoint!)).metrics) expect([lossPerMasked, crossEntropy]).toEqual([loss, loss]);
  const adaptation = { steps: 20, annealingSteps: 10, noise: { levels: "stratified" } };
  const adapted = await workplace.run({ shards, checkpoint: next.outputs.checkpoint! }, { recipe: { ...adaptation, architecture: undefined } });
  const fresh = await workplace.run({ shards }, { recipe: adaptation });
  expect(adapted.summary.validationLossAtEnd).toBeLessThan(0.9 * (fresh.summary.validationLossAtEnd as number));
  const stages = ["autoregressive-pretraining", "pretraining"];
  expect((await workplace.store.artifacts.manifest(adapted.outputs.checkpoint!)).meta.history).toMatchObject(stages.map((stage) => ({ stage })));
  expect([...new Set((await workplace.checkpoint(adapted.outputs.checkpoint!)).metrics.map(({ stage }) => stage))]).toEqual(stages);
});

test("annealing attention changes what is learned", async () => {
  const full = await workplace.run({ shards });
  expect(full.summary.validationLossAtStart).toBe(first.summary.validationLossAtStart);
  expect(full.outputs).not.toEqual(first.outputs);
});

test("stopped and resumed, the stage gives the same bytes", async () => {
  const store = await workplace.anotherStore();
  expect(await workplace.shards(tokenizer, store)).toEqual(shards);
  const abort = new AbortController();
  const onProgress = ({ unit, step }: { unit: string; step: number }) => {
    if (unit === "steps" && step === 3) abort.abort();
  };
  const recipe = { annealingSteps: 4 };
  const error = await failureOf(workplace.run({ shards }, { recipe, store, signal: abort.signal, onProgress }));
  expect(error).toMatchObject({ code: "StageCancelled", message: "stage pretraining: stopped on request after step 3" });
  const steps: number[] = [];
  const resumed = await workplace.run({ shards }, { recipe, store, onProgress: ({ unit, step }) => unit === "steps" && steps.push(step) });
  expect(steps).toEqual([4, 5, 6]);
  expect(resumed.outputs).toEqual(first.outputs);
});

test("how often checkpoints are saved does not change the result", async () => {
  const store = await workplace.anotherStore();
  await workplace.shards(tokenizer, store);
  const recipe = { annealingSteps: 4 };
  const outcome = await workplace.run({ shards }, { recipe, store, execution: { checkpointEverySteps: 2 } });
  expect(outcome.outputs).toEqual(first.outputs);
  expect((await store.records.checkpoints(outcome.key)).map(({ step }) => step).sort()).toEqual([2, 4]);
});

test("a recipe with neither an architecture nor a checkpoint is refused", async () => {
  const error = await failureOf(workplace.run({ shards }, { recipe: { architecture: undefined } }));
  expect(error).toMatchObject({ code: "InvalidRecipe", message: "stage pretraining: expected either `architecture` in the recipe or a `checkpoint` input, found neither" });
});

test("an architecture beside a checkpoint is refused, not ignored", async () => {
  const error = await failureOf(workplace.run({ shards, checkpoint: first.outputs.checkpoint! }));
  expect(error).toMatchObject({ code: "InvalidRecipe", message: "stage pretraining: expected either `architecture` in the recipe or a `checkpoint` input, found both" });
});

test("shards of another tokenizer than the checkpoint's are refused, and nothing comes out", async () => {
  const others = await workplace.shards(await tokenizerOf(270));
  const inputs = { shards: others, checkpoint: first.outputs.checkpoint! };
  const error = await failureOf(workplace.run(inputs, { recipe: { architecture: undefined } }));
  expect(error).toMatchObject({ code: "UnusableData", message: expect.stringContaining("expected the checkpoint's tokenizer") as string });
  const request = { recipe: { ...RECIPE, architecture: undefined }, execution: {}, inputs, seed: SEED, baseDirectory: "/" };
  expect(await findCached(workplace.store, (await resolveStage(pretrainingStage, request, "fp32")).key)).toBeUndefined();
});

test("no shard stays open behind the stage, however it ended", () => {
  expect(openFilesOf(workplace.store)).toEqual([]); // of all runs above
});

test("a plan counts the new model, from the architecture and the planned vocabulary", () => {
  const recipe = recipeSchema.parse(RECIPE);
  const plan = pretrainingStage.plan!(recipe, { shards: { facts: { vocabSize: tokenizer.vocabSize } } });
  const tokens = 6 * 4 * 16;
  expect(plan).toEqual({
    tokens,
    flops: tokens * trainingFlopsPerToken(model, 16),
    parameterCount: parameterCount(model),
    peakMemoryBytes: trainingMemoryBytes(model, 4 * 16),
    facts: { model: toHuggingFace({ ...model, maskId: 0, padId: 0 }) },
  });
});

test("a plan from a checkpoint counts that checkpoint's model", () => {
  const larger = { ...model, layers: 3 };
  const recipe = recipeSchema.parse({ ...RECIPE, architecture: undefined });
  const plan = pretrainingStage.plan!(recipe, { checkpoint: { facts: { model: toHuggingFace(larger) as never } } });
  expect(plan.parameterCount).toBe(parameterCount(larger));
  expect(plan.facts).toEqual({ model: toHuggingFace({ ...larger, headDim: 8 }) });
});

test.each([
  ["expected an input `shards` whose plan tells its vocabSize, found none", { architecture: ARCHITECTURE }, {}],
  ["expected an input `shards` whose plan tells its vocabSize, found none", { architecture: ARCHITECTURE }, { shards: { facts: { vocabSize: null } } }],
  ["found neither", {}, { shards: { facts: { vocabSize: 9 } } }],
  ["found both", { architecture: ARCHITECTURE }, { checkpoint: {}, shards: { facts: { vocabSize: 9 } } }],
])("a plan that cannot be made says why: %s", (message, recipe, inputs) => {
  expect(() => pretrainingStage.plan!(recipeSchema.parse({ steps: 1, ...recipe }), inputs)).toThrow(`stage pretraining: ${message.startsWith("found") ? "expected either `architecture` in the recipe or a `checkpoint` input, " : ""}${message}`);
});
