// Axes: B canvases, T tokens per canvas.
import { existsSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createProgram } from "@diffucoder/engine";
import { loadCheckpoint, readSafetensors, type NamedTensor } from "@diffucoder/formats";
import { cartWeights, diffusionFeeds, diffusionLossGraph, initialParameters, inverseLevelWeights, parameterCount, parameterShapes, toHuggingFace } from "@diffucoder/model";
import { failureOf } from "@diffucoder/test-kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SEED, VOCABULARY, Workplace, digestsBelow, documentsOf, makeShards, model, recipe } from "../test/fixtures.ts";
import type { BatchSource, DiffusionBatch } from "./batch-source.ts";
import { learningRateAt } from "./learning-rate.ts";
import { ledgerEntry, parseLedger } from "./ledger.ts";
import { shardBatches } from "./shard-batches.ts";
import { trainDiffusion, type DiffusionTraining } from "./train-diffusion.ts";
import { candidatePath, readTraining } from "./training-state.ts";
import type { TrainingSummary } from "./training-summary.ts";

let workplace: Workplace;
beforeAll(async () => {
  workplace = await Workplace.open();
});
afterAll(() => workplace.close());

const optimizer = (changes: object) => ({ ...recipe, optimizer: { ...recipe.optimizer, ...changes } });

async function train(changes: Partial<DiffusionTraining> = {}, options: Parameters<Workplace["context"]>[0] = {}) {
  const context = await workplace.context(options);
  const { outputs, summary: figures } = await trainDiffusion(workplace.training(changes), context.value);
  const { loaderWaitShare, ...summary } = figures;
  const { directory, meta } = outputs.checkpoint!;
  const checkpoint = await loadCheckpoint(async (path) => join(directory, path), true);
  return { context, directory, meta, checkpoint, summary: summary as TrainingSummary, loaderWaitShare };
}

const ledgerOf = async (directory: string) => parseLedger(await readFile(join(directory, "ledger.jsonl"), "utf8"));

/** The loss of a batch under the initial weights, from a graph with room for every row. */
async function lossOf(batch: DiffusionBatch, weightsOf = inverseLevelWeights) {
  const shape = { batchSize: 4, canvasLength: 8, rowCapacity: 32, annealed: batch.attentionBias !== undefined };
  const program = await createProgram({ variables: parameterShapes(model), dtype: "fp32", graphs: { loss: diffusionLossGraph(model, shape) } });
  program.writeVariables(initialParameters(model, SEED));
  const feeds = { ...diffusionFeeds({ ...batch, rowCapacity: 32, weightsOf }), ...(batch.attentionBias === undefined ? {} : { attentionBias: batch.attentionBias }) };
  const outputs = program.run("loss", feeds);
  program.dispose();
  return { loss: outputs.loss![0]!, lossPerMasked: outputs.lossPerMasked![0]!, crossEntropy: outputs.crossEntropy![0]! };
}

test("training lowers the validation loss from that of guessing", async () => {
  const { summary } = await train({ recipe: { ...recipe, steps: 60, noise: { levels: "stratified", smallest: 0.001 } } });
  expect(summary.validationLossAtStart).toBeCloseTo(Math.log(VOCABULARY), 0);
  expect(summary.validationLossAtEnd).toBeLessThan(0.8 * summary.validationLossAtStart);
  expect(summary).toEqual({
    stage: "test",
    steps: 60,
    tokens: 60 * 4 * 8,
    validationLossAtStart: expect.any(Number) as number,
    validationLossAtEnd: expect.any(Number) as number,
    uniformLoss: Math.log(VOCABULARY),
  });
});

test("a checkpoint tells its training, behind what was there before", async () => {
  const earlier = { stage: "before", steps: 1, tokens: 1, validationLossAtStart: 3, validationLossAtEnd: 3, uniformLoss: 3 };
  const line = { stage: "before", step: 1, loss: 3 };
  const { meta, checkpoint, summary, context } = await train({ history: [earlier], metrics: [line] });
  expect(meta).toEqual({ stage: "test", step: 8, parameterCount: parameterCount(model), history: [earlier, summary], candidates: [] });
  expect(checkpoint.config).toEqual(toHuggingFace(model));
  expect(checkpoint.tokenizerJson).toBe("{}");
  expect(checkpoint.trainerState).toEqual({ step: 8, validationLossAtStart: summary.validationLossAtStart, candidates: [] });
  expect(checkpoint.metrics[0]).toEqual(line);
  checkpoint.metrics.slice(1).forEach((own, i) => {
    const step = i + 1;
    const figures = { loss: expect.any(Number), lossPerMasked: expect.any(Number), crossEntropy: expect.any(Number), gradientNorm: expect.any(Number) };
    expect(own).toEqual({ stage: "test", step, ...figures, learningRate: learningRateAt(step, 8, recipe.optimizer), tokens: step * 32 });
  });
  expect(checkpoint.metrics).toHaveLength(9);
  expect(context.saved).toEqual([]); // nothing was due before the end
  const units = context.progress.map(({ unit, step, totalSteps }) => `${unit} ${step}/${totalSteps}`);
  const validation = ["validation batches 0/2", "validation batches 1/2"];
  expect(units).toEqual([...validation, ...Array.from({ length: 8 }, (_, i) => `steps ${i + 1}/8`), ...validation]);
  expect(context.progress[0]!.note).toBe("validating test");
  expect(context.progress[2]!.metrics).toEqual({ loss: checkpoint.metrics[1]!.loss });
});

test("the summary tells which share of the steps' time went by until batches were there, by the context's clock", async () => {
  const source = workplace.source();
  let timeMs = 0;
  const slow: BatchSource = { ...source, trainingBatch: (step) => ((timeMs += 30), source.trainingBatch(step)) };
  const { value: context } = await workplace.context();
  const report = () => void (timeMs += 10); // after each step
  const { summary } = await trainDiffusion(workplace.training({ source: slow }), { ...context, now: () => timeMs, report });
  expect(summary.loaderWaitShare).toBe(0.75);
});

test("the room that a graph has for masked rows does not change the loss", async () => {
  // A learning rate that moves no weight: every step then has the loss of the initial ones.
  const still = { ...optimizer({ learningRate: 1e-30, weightDecay: 0 }), steps: 12 };
  const source = workplace.source({ recipe: still, annealingSteps: 4 });
  const { checkpoint, summary } = await train({ recipe: still, source });
  const masked: number[] = [];
  for (const line of checkpoint.metrics) {
    const batch = await source.trainingBatch(line.step);
    masked.push(batch.canvases.reduce((sum, canvas) => sum + canvas.masked.length, 0));
    const expected = await lossOf(batch);
    for (const name of ["loss", "lossPerMasked", "crossEntropy"] as const) expect(line[name]).toBeCloseTo(expected[name], 4);
  }
  // Of 32 rows graphs have room for 18, 24 and 32; all were needed.
  expect(masked.some((count) => count <= 18)).toBe(true);
  expect(masked.some((count) => count > 18 && count <= 24)).toBe(true);
  expect(masked.some((count) => count > 24)).toBe(true);
  const validation = [await lossOf(await source.validationBatch(0)), await lossOf(await source.validationBatch(1))];
  const mean = (validation[0]!.loss + validation[1]!.loss) / 2;
  expect(summary.validationLossAtStart).toBeCloseTo(mean, 4);
  expect(summary.validationLossAtEnd).toBe(summary.validationLossAtStart);
});

test("stopped at any step and resumed, a training gives the same bytes", async () => {
  const options = { source: workplace.source({ annealingSteps: 4 }), keepSteps: [2, 5] };
  const expected = await digestsBelow((await train(options)).directory);
  expect(Object.keys(expected)).toEqual(expect.arrayContaining([candidatePath(2), candidatePath(5), "optimizer.safetensors", "ledger.jsonl"]));
  const store = await workplace.store();
  let resumeFrom: Parameters<Workplace["context"]>[0] = {};
  // One training, stopped and resumed four times: before its first step, within annealing, behind it, before its last step.
  for (const stopAt of [0, 1, 5, 7]) {
    const context = await workplace.context({ store, ...resumeFrom, onStep: (step, abort) => step === stopAt && abort.abort() });
    if (stopAt === 0) context.abort.abort();
    const error = await failureOf(trainDiffusion(workplace.training(options), context.value));
    expect(error).toMatchObject({ code: "StageCancelled", message: `stage test: stopped on request after step ${stopAt}` });
    expect(context.saved.map(({ step }) => step)).toEqual([stopAt]);
    expect((await store.artifacts.manifest(context.saved[0]!.ref)).meta).toEqual({ stage: "test", step: stopAt });
    resumeFrom = { resumeFrom: context.saved[0]! };
  }
  const last = await train(options, { store, ...resumeFrom });
  expect(last.context.progress.find(({ unit }) => unit === "steps")!.step).toBe(8);
  expect(last.context.log).toEqual(["resumed at step 7"]);
  expect(await digestsBelow(last.directory)).toEqual(expected);
});

test("a training that dies goes on from its last due checkpoint, to the same bytes", async () => {
  const execution = { checkpointEverySteps: 3 };
  const expected = await digestsBelow((await train()).directory);
  const store = await workplace.store();
  const die = (step: number) => {
    if (step === 8) throw new Error("killed");
  };
  const context = await workplace.context({ store, onStep: die });
  await expect(trainDiffusion(workplace.training({ execution }), context.value)).rejects.toThrow("killed");
  expect(context.saved.map(({ step }) => step)).toEqual([3, 6]);
  const { directory } = await train({ execution }, { store, resumeFrom: context.saved[1]! });
  expect(await digestsBelow(directory)).toEqual(expected);
});

test("a batch that cannot be made stops the training at its step: those before it are done and saved, though it was asked for ahead", async () => {
  const source = workplace.source();
  const broken: BatchSource = { ...source, trainingBatch: async (step) => (step < 6 ? source.trainingBatch(step) : Promise.reject(new Error("no batch 6"))) };
  const context = await workplace.context();
  await expect(trainDiffusion(workplace.training({ source: broken, execution: { checkpointEverySteps: 2 } }), context.value)).rejects.toThrow("no batch 6");
  expect(context.saved.map(({ step }) => step)).toEqual([2, 4]);
  expect(context.progress.at(-1)!.step).toBe(5);
});

test.each(["train", "validation"] as const)("nothing is saved of a training whose %s shards were altered since they were opened", async (split) => {
  const directory = await workplace.directory();
  const shards = { train: await makeShards(directory, "train", 60), validation: await makeShards(directory, "validation", 20) };
  const file = join(directory, split, "shard-00000.arrow");
  const whole = await readFile(file);
  const altered = Uint8Array.from(whole);
  altered[whole.indexOf(Buffer.from(documentsOf(split, 1)[0]!.tokens.buffer))]! ^= 1; // another id of the vocabulary
  const source = shardBatches({ stage: "test", seed: SEED, recipe, maskId: model.maskId, ...shards, annealingSteps: 0 });
  for (const [checkpointEverySteps, saved] of [[3, [3]], [1000, []]] as const) {
    writeFileSync(file, whole);
    const context = await workplace.context({ onStep: (step) => step === 4 && writeFileSync(file, altered) });
    await expect(trainDiffusion(workplace.training({ source, execution: { checkpointEverySteps } }), context.value)).rejects.toMatchObject({ code: "ShardCorrupt", message: expect.stringContaining(file) as string });
    expect(context.saved.map(({ step }) => step)).toEqual(saved);
  }
  await shards.train.close();
  await shards.validation.close();
});

test("kept steps hold the weights of exactly those steps", async () => {
  const { context, directory, meta } = await train({ keepSteps: [4, 8], execution: { checkpointEverySteps: 4 } });
  expect(meta.candidates).toEqual([4, 8]);
  const at4 = await loadCheckpoint((path) => context.store.artifacts.file(context.saved[0]!.ref, path));
  expect(await readSafetensors(join(directory, candidatePath(4)))).toEqual(at4.parameters);
  expect(await readSafetensors(join(directory, candidatePath(8)))).toEqual(await readSafetensors(join(directory, "model.safetensors")));
  expect(existsSync(join(directory, candidatePath(3)))).toBe(false);
  expect(context.saved.map(({ step }) => step)).toEqual([4]); // a last step that is due is the result itself
});

test("the documents of every step are proved by recomputing its ledger entry, and a tampered ledger is noticed", async () => {
  const { directory } = await train();
  const ledger = await ledgerOf(directory);
  expect(ledger.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  const source = workplace.source();
  const recomputed = [];
  for (const { step } of ledger) {
    const { documents } = await source.trainingBatch(step);
    expect(documents.length).toBeGreaterThan(1);
    for (const id of documents) expect(workplace.train.docIds).toContain(id);
    recomputed.push(ledgerEntry(step, recipe.batchSize, documents));
  }
  expect(ledger).toEqual(recomputed);
  const { documents } = await source.trainingBatch(3);
  for (const forged of [documents.slice(1), [...documents, "another"], documents.toReversed()]) expect(ledgerEntry(3, 4, forged)).not.toEqual(ledger[2]);
  for (const otherSource of [workplace.source({ seed: 8 }), workplace.source({ stage: "other" })]) {
    expect(ledgerEntry(3, 4, (await otherSource.trainingBatch(3)).documents)).not.toEqual(ledger[2]);
  }
});

test("a training that needs more memory than there is does not begin", async () => {
  const context = await workplace.context();
  const error = await failureOf(trainDiffusion(workplace.training(), { ...context.value, memoryBytes: 5e8 }));
  expect(error.code).toBe("NotEnoughMemory");
  expect(context.progress).toEqual([]);
});

test("a loss that is no number stops the training, naming step and documents", async () => {
  const broken = initialParameters(model, SEED);
  broken.get("model.norm.weight")!.data.fill(Number.NaN);
  const context = await workplace.context();
  const error = await failureOf(trainDiffusion(workplace.training({ parameters: broken }), context.value));
  const { documents } = await workplace.source().trainingBatch(1);
  expect(error).toMatchObject({ code: "NonFiniteLoss", retryable: false, details: { stage: "test", step: 1, batch: 1, loss: "NaN", gradientNorm: "NaN", documents, rollbacks: 0 } });
  expect(error.message).toMatch(/^stage test, step 1: expected a finite loss and gradient, found loss NaN, gradient norm NaN\. Lower optimizer\.learningRate or clipNorm/);
});

test("a training that diverges is stopped at the step whose loss went", async () => {
  const wild = optimizer({ learningRate: 1e30, warmupSteps: 0 });
  const context = await workplace.context();
  const error = await failureOf(trainDiffusion(workplace.training({ recipe: wild, execution: { checkpointEverySteps: 1 } }), context.value));
  expect(error.code).toBe("NonFiniteLoss");
  const step = error.details.step as number;
  expect(step).toBeGreaterThan(1);
  expect(error.details.documents).toEqual((await workplace.source().trainingBatch(step)).documents);
  expect(context.saved.map((saved) => saved.step)).toEqual(Array.from({ length: step - 1 }, (_, i) => i + 1)); // no checkpoint of the step that failed
});

test("a gradient that is no number stops the training though the loss is one", async () => {
  const untied = { ...model, tied: false };
  const parameters = new Map(
    [...initialParameters(untied, SEED)].map(([name, { shape, data }]): [string, NamedTensor] => [name, { shape, data: name === "lm_head.weight" ? data.map((value) => 1e23 * value) : data }]),
  );
  // Logits of some 1e22 cost as much, which fp32 holds; the square of a gradient as large it does not.
  const error = await failureOf(trainDiffusion(workplace.training({ model: untied, parameters }), (await workplace.context()).value));
  expect(error).toMatchObject({ code: "NonFiniteLoss", details: { gradientNorm: "Infinity" } });
  expect(Number(error.details.loss)).toBeGreaterThan(1e18);
});

test("a longer canvas than the model's longest becomes its longest", async () => {
  const longest = async (maxPositions: number) => (await train({ model: { ...model, maxPositions }, recipe: { ...recipe, steps: 1 } })).checkpoint.config.max_position_embeddings;
  expect(await longest(4)).toBe(8);
  expect(await longest(99)).toBe(99);
});

const normOf = (tensors: ReadonlyMap<string, NamedTensor>) => Math.sqrt([...tensors.values()].reduce((sum, { data }) => sum + data.reduce((a, b) => a + b * b, 0), 0));

test("beta1, beta2 and clipNorm of the recipe reach the optimizer", async () => {
  const { checkpoint } = await train({ recipe: { ...optimizer({ beta1: 0.75, beta2: 0.5, clipNorm: 0.01 }), steps: 1 } });
  expect(checkpoint.metrics[0]!.gradientNorm).toBeGreaterThan(0.1); // reported as it was before clipping
  const { first, second } = checkpoint.optimizer!;
  // After one step from zero: first = (1 - beta1) g, second = (1 - beta2) g^2, with g clipped to norm 0.01.
  expect(normOf(first) / 0.25).toBeCloseTo(0.01, 5);
  first.get("model.embed_tokens.weight")!.data.forEach((value, i) => expect(second.get("model.embed_tokens.weight")!.data[i]).toBeCloseTo(0.5 * (value / 0.25) ** 2, 9));
});

test("epsilon, learning rate and weight decay of the recipe reach the optimizer; only matrices decay", async () => {
  // An epsilon that dwarfs the gradient leaves the decay alone: one step at the peak of 0.1.
  const { checkpoint } = await train({ recipe: { ...optimizer({ epsilon: 1e6, weightDecay: 0.5, learningRate: 0.1, warmupSteps: 1 }), steps: 1 } });
  for (const [name, { shape, data }] of initialParameters(model, SEED)) {
    const share = shape.length > 1 ? 1 - 0.1 * 0.5 : 1;
    data.forEach((value, i) => expect(checkpoint.parameters.get(name)!.data[i]).toBeCloseTo(share * value, 5));
  }
});

// Portable backends have fp32 alone.
test.skipIf(process.env.DIFFUCODER_BACKEND !== undefined)("bf16 of the numerics profile rounds matrix products", async () => {
  const one = { recipe: { ...recipe, steps: 1 } };
  const exact = (await train(one)).summary.validationLossAtStart;
  const rounded = (await train(one, { dtype: "bf16" })).summary.validationLossAtStart;
  expect(rounded).not.toBe(exact);
  expect(Math.abs(rounded / exact - 1)).toBeLessThan(0.01);
});

test("CART weights weigh training, and leave the validation loss the bound it is", async () => {
  const still = { ...optimizer({ learningRate: 1e-30, weightDecay: 0 }), steps: 3 };
  const source = workplace.source({ recipe: still });
  const plain = await train({ recipe: still, source });
  const cart = await train({ recipe: { ...still, lossWeights: { kind: "cart", share: 0.3 } }, source });
  expect(cart.summary.validationLossAtStart).toBe(plain.summary.validationLossAtStart);
  for (const [i, line] of cart.checkpoint.metrics.entries()) {
    const expected = await lossOf(await source.trainingBatch(line.step), cartWeights(0.3));
    for (const name of ["loss", "lossPerMasked"] as const) expect(line[name]).toBeCloseTo(expected[name], 4);
    expect(line.crossEntropy).toBe(plain.checkpoint.metrics[i]!.crossEntropy);
  }
});

/** A source whose batches of these numbers have a loss that is no number. */
function poisoned(source: BatchSource, ...numbers: readonly number[]): BatchSource {
  const poison = (batch: DiffusionBatch) => ({ ...batch, canvases: batch.canvases.map((canvas) => ({ ...canvas, noiseLevel: NaN })) });
  return { ...source, trainingBatch: async (step) => (numbers.includes(step) ? poison(await source.trainingBatch(step)) : source.trainingBatch(step)) };
}

const withRollback = (changes: object = {}) => ({ ...recipe, rollback: { everySteps: 3, limit: 2, ...changes } });

test("after a bad step training goes on from the last kept state as if the batches since had never been", async () => {
  const source = workplace.source();
  // Step 5 is bad: back to 3, without batches 4 and 5. Step 6 then has batch 8, and is bad: back to 3, without 6 to 8.
  const { checkpoint, summary, directory, context, meta } = await train({ source: poisoned(source, 5, 8), recipe: withRollback(), keepSteps: [2, 4] });
  const batchOf = (step: number) => (step <= 3 ? step : step + 5);
  const expected = await train({ source: { ...source, trainingBatch: (step) => source.trainingBatch(batchOf(step)) }, keepSteps: [2, 4] });
  expect(checkpoint.parameters).toEqual(expected.checkpoint.parameters);
  expect(checkpoint.optimizer).toEqual(expected.checkpoint.optimizer);
  expect(await readSafetensors(join(directory, candidatePath(4)))).toEqual(await readSafetensors(join(expected.directory, candidatePath(4))));
  expect(checkpoint.metrics).toEqual(expected.checkpoint.metrics.map((line) => ({ ...line, batch: batchOf(line.step) })));
  const rollbacks = [
    { fromStep: 5, toStep: 3, batches: [4, 6], loss: "NaN", gradientNorm: "NaN" },
    { fromStep: 6, toStep: 3, batches: [6, 9], loss: "NaN", gradientNorm: "NaN" },
  ];
  expect(summary).toEqual({ ...expected.summary, rollbacks });
  expect(meta.history).toEqual([summary]);
  expect(checkpoint.trainerState).toMatchObject({ rollbacks });
  expect(context.log).toEqual(["step 5: loss NaN, gradient norm NaN; back at step 3, without batches 4 to 5", "step 6: loss NaN, gradient norm NaN; back at step 3, without batches 6 to 8"]);
  const ledger = await ledgerOf(directory);
  for (const { step } of ledger) expect(ledger[step - 1]).toEqual(ledgerEntry(step, 4, (await source.trainingBatch(batchOf(step))).documents, batchOf(step)));
  expect(ledger).toHaveLength(8);
  expect(existsSync(join(directory, "kept"))).toBe(false); // a finished training goes back nowhere
});

test("stopped between a kept state and the step that goes back to it, a training gives the same bytes", async () => {
  const options = { source: poisoned(workplace.source(), 5), recipe: withRollback(), keepSteps: [5] };
  const expected = await digestsBelow((await train(options)).directory);
  const store = await workplace.store();
  let resumeFrom: Parameters<Workplace["context"]>[0] = {};
  for (const stopAt of [4, 5]) {
    const context = await workplace.context({ store, ...resumeFrom, onStep: (step, abort) => step === stopAt && abort.abort() });
    expect((await failureOf(trainDiffusion(workplace.training(options), context.value))).code).toBe("StageCancelled");
    resumeFrom = { resumeFrom: context.saved[0]! };
  }
  expect(await digestsBelow((await train(options, { store, ...resumeFrom })).directory)).toEqual(expected);
});

test("what is saved behind a roll-back holds no weights of steps that were undone", async () => {
  const options = { source: poisoned(workplace.source(), 5), recipe: withRollback(), keepSteps: [2, 4] };
  const context = await workplace.context();
  const log = () => context.abort.abort(); // as soon as it is back at step 3
  expect((await failureOf(trainDiffusion(workplace.training(options), { ...context.value, log }))).code).toBe("StageCancelled");
  const { state } = await readTraining(context.store.artifacts, context.saved[0]!.ref);
  expect([state.step, state.metrics.length, state.ledger.length, [...state.candidates.keys()]]).toEqual([3, 3, 3, [2]]);
});

test("a bad step beyond the limit stops the training with step, batch and documents", async () => {
  const source = workplace.source();
  const context = await workplace.context();
  const error = await failureOf(trainDiffusion(workplace.training({ source: poisoned(source, 2, 5), recipe: withRollback({ limit: 1 }) }), context.value));
  const { documents } = await source.trainingBatch(5);
  // Step 2 went back to 0, without batches 1 and 2: step 3 has batch 5.
  expect(error).toMatchObject({ code: "NonFiniteLoss", details: { step: 3, batch: 5, documents, rollbacks: 1 } });
  expect(error.message).toMatch(/^stage test, step 3 \(batch 5\): expected a finite loss and gradient after 1 roll-backs, found loss NaN/);
});

test("a gradient above the recipe's largest is a bad step", async () => {
  const norms = (await train()).checkpoint.metrics.map(({ gradientNorm }) => gradientNorm as number);
  const largestGradientNorm = (Math.max(...norms) + Math.max(...norms.filter((norm) => norm < Math.max(...norms)))) / 2;
  const worst = norms.indexOf(Math.max(...norms)) + 1;
  const { summary } = await train({ recipe: withRollback({ everySteps: 1, limit: 20, largestGradientNorm }) });
  expect(summary.rollbacks![0]).toMatchObject({ fromStep: worst, toStep: worst - 1, batches: [worst, worst + 1], gradientNorm: String(Math.max(...norms)) });
  const error = await failureOf(train({ recipe: withRollback({ limit: 1, largestGradientNorm: 1e-9 }) }));
  expect(error.message).toContain("expected a finite loss and gradient of norm at most 1e-9 after 1 roll-backs, found loss");
});

test("a roll-back rule that never acts changes nothing but the batch numbers in the metrics", async () => {
  const [plain, ruled] = [await train(), await train({ recipe: withRollback() })];
  const [{ "metrics.jsonl": _, ...expected }, { "metrics.jsonl": __, ...found }] = [await digestsBelow(plain.directory), await digestsBelow(ruled.directory)];
  expect(found).toEqual(expected);
  expect(ruled.summary).toEqual(plain.summary);
});

test("a batch in parts is one step: the figures, gradients and weights of the whole", async () => {
  const own = { ...recipe, steps: 6 };
  const source = workplace.source({ recipe: own, annealingSteps: 3 });
  const [whole, parts] = [await train({ recipe: own, source }), await train({ recipe: { ...own, microBatches: 4 }, source })];
  parts.checkpoint.metrics.forEach((line, i) => {
    const expected = whole.checkpoint.metrics[i]!;
    expect(Object.keys(line)).toEqual(Object.keys(expected));
    for (const name of ["loss", "lossPerMasked", "crossEntropy", "gradientNorm"] as const) expect((line[name] as number) / (expected[name] as number)).toBeCloseTo(1, 3);
  });
  expect(parts.checkpoint.metrics[0]!.loss).toBeCloseTo(whole.checkpoint.metrics[0]!.loss as number, 5);
  expect(parts.summary.validationLossAtStart).toBeCloseTo(whole.summary.validationLossAtStart, 5);
  expect(parts.summary.validationLossAtEnd).toBeCloseTo(whole.summary.validationLossAtEnd, 2);
  expect(await ledgerOf(parts.directory)).toEqual(await ledgerOf(whole.directory));
  // The first moment after one step is a tenth of the gradient.
  const one = { ...own, steps: 1 };
  const [first, firstOfParts] = [await train({ recipe: one, source }), await train({ recipe: { ...one, microBatches: 2 }, source })];
  for (const [name, { data }] of first.checkpoint.optimizer!.first) {
    data.forEach((value, i) => expect(firstOfParts.checkpoint.optimizer!.first.get(name)!.data[i]).toBeCloseTo(value, 6));
  }
  const hidesNothing = async (step: number) => {
    const batch = await source.trainingBatch(step);
    return { ...batch, canvases: batch.originals.map((tokens) => ({ tokens, masked: [], noiseLevel: 0.5 })) };
  };
  const { checkpoint: still } = await train({ recipe: { ...one, microBatches: 2 }, source: { ...source, trainingBatch: hidesNothing } });
  expect(still.metrics[0]).toMatchObject({ loss: 0, lossPerMasked: 0, crossEntropy: 0, gradientNorm: 0 });
  const error = await failureOf(train({ recipe: { ...own, microBatches: 3 } }));
  expect(error).toMatchObject({ code: "InvalidRecipe" });
});
