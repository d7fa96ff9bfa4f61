// Axes: B canvases, T tokens per canvas.
import { docIdOf } from "@diffucoder/formats";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SEED, Workplace, documentsOf, makeShards, model, recipe } from "../test/fixtures.ts";
import { fixedNoiseLevels } from "./noise-levels.ts";
import { sampleOrder } from "./sample-order.ts";
import { causalBatches, readPackedSample, shardBatches } from "./shard-batches.ts";

let workplace: Workplace;
beforeAll(async () => {
  workplace = await Workplace.open();
});
afterAll(() => workplace.close());

const FULL_NOISE = { levels: "independent", smallest: 0.999999 } as const;

test("a sample is a canvas of the packed stream, with every document it touches", async () => {
  const shards = await makeShards(await workplace.directory(), "packed", 4); // documents of 5, 6, 7 and 8 tokens
  const id = (i: number) => docIdOf(`packed ${i}`);
  const sample = (index: number, length: number) => readPackedSample(shards, index, length);
  // Stream: 0 1 2 3 4 | 1 2 3 4 5 6 | 2 3 4 5 6 7 8 | 3 ...
  expect(sample(0, 4)).toEqual({ tokens: Int32Array.of(0, 1, 2, 3), documents: [id(0)] });
  expect(sample(1, 4)).toEqual({ tokens: Int32Array.of(4, 1, 2, 3), documents: [id(0), id(1)] });
  expect(sample(0, 5)).toEqual({ tokens: Int32Array.of(0, 1, 2, 3, 4), documents: [id(0)] }); // ends where the document does
  expect(sample(1, 5)).toEqual({ tokens: Int32Array.of(1, 2, 3, 4, 5), documents: [id(1)] });
  expect(sample(0, 13).documents).toEqual([id(0), id(1), id(2)]);
  await shards.close();
});

test("a batch is a function of the step, and steps differ", async () => {
  const first = await workplace.source().trainingBatch(3);
  const source = workplace.source();
  await source.trainingBatch(1);
  expect(await source.trainingBatch(3)).toEqual(first);
  expect((await source.trainingBatch(4)).canvases).not.toEqual(first.canvases);
});

test("the samples drawn do not depend on how they are split into batches", async () => {
  const originals = async (batchSize: number, steps: number) => {
    const source = workplace.source({ recipe: { batchSize } });
    const batches = [];
    for (let step = 1; step <= steps; step++) batches.push(...(await source.trainingBatch(step)).originals);
    return batches;
  };
  expect(await originals(2, 6)).toEqual(await originals(4, 3));
  expect(await originals(12, 1)).toEqual(await originals(4, 3));
});

test("an epoch shows every whole canvas once, and leaves out what does not fill one", async () => {
  const { train } = workplace;
  const stream = documentsOf("train", 60).flatMap(({ tokens }) => [...tokens]);
  expect(stream.length % 8).not.toBe(0);
  const count = Math.floor(stream.length / 8);
  const source = workplace.source({ recipe: { batchSize: count } });
  expect(train.tokenCount).toBe(stream.length);
  for (const step of [1, 2]) {
    const { originals } = await source.trainingBatch(step);
    const expected = Array.from({ length: count }, (_, i) => stream.slice(8 * i, 8 * i + 8).join());
    expect(originals.map((tokens) => tokens.join()).sort()).toEqual(expected.sort());
  }
});

test("samples follow the order of seed, split and data, and documents are theirs, each once", async () => {
  const { train } = workplace;
  const order = sampleOrder({ seed: SEED, stage: "test train", root: train.manifest.root, sampleCount: Math.floor(train.tokenCount / 8) });
  const samples = [8, 9, 10, 11].map((draw) => readPackedSample(train, order(draw), 8));
  const { originals, documents } = await workplace.source().trainingBatch(3);
  expect(originals).toEqual(samples.map(({ tokens }) => tokens));
  expect(documents).toEqual([...new Set(samples.flatMap((sample) => sample.documents))]);
  const everything = await workplace.source({ recipe: { batchSize: 40 } }).trainingBatch(1);
  expect(new Set(everything.documents).size).toBe(everything.documents.length); // neighbouring canvases share documents
});

test("every position but the first can be hidden, and is at full noise", async () => {
  const batch = await workplace.source({ recipe: { noise: FULL_NOISE } }).trainingBatch(1);
  expect(batch.canvases.map(({ masked }) => masked)).toEqual(Array.from({ length: 4 }, () => [1, 2, 3, 4, 5, 6, 7]));
  expect(batch.maskableCount).toBe(4 * 7);
  batch.canvases.forEach(({ tokens }, i) => expect([...tokens]).toEqual([batch.originals[i]![0], ...Array.from({ length: 7 }, () => model.maskId)]));
});

test("each canvas has its own level and its own noise", async () => {
  const { canvases } = await workplace.source({ recipe: { batchSize: 16, noise: { levels: "stratified", smallest: 0.4 } } }).trainingBatch(1);
  expect(new Set(canvases.map(({ noiseLevel }) => noiseLevel)).size).toBe(16);
  const sameLevel = await workplace.source({ recipe: { batchSize: 16, noise: { levels: "stratified", smallest: 0.999999 } } }).trainingBatch(1);
  expect(sameLevel.canvases.every(({ masked }) => masked.length === 7)).toBe(true);
  expect(new Set(canvases.map(({ masked }) => masked.join())).size).toBeGreaterThan(8);
});

test("validation keeps its samples and its noise, batch by batch", async () => {
  const source = workplace.source();
  const first = await source.validationBatch(0);
  await source.trainingBatch(5);
  expect(await source.validationBatch(0)).toEqual(first);
  const second = await source.validationBatch(1);
  expect(second.originals).not.toEqual(first.originals);
  expect(second.canvases.map(({ masked }) => masked)).not.toEqual(first.canvases.map(({ masked }) => masked));
  expect(first.canvases.map(({ noiseLevel }) => noiseLevel)).toEqual(fixedNoiseLevels(4, recipe.noise.smallest));
  const known = new Set(workplace.validation.docIds);
  for (const id of [...first.documents, ...second.documents]) expect(known).toContain(id);
  for (const id of (await source.trainingBatch(1)).documents) expect(known).not.toContain(id);
});

test("seed and stage each give other samples and other noise", async () => {
  const own = await workplace.source().trainingBatch(1);
  for (const other of [await workplace.source({ seed: 8 }).trainingBatch(1), await workplace.source({ stage: "other" }).trainingBatch(1)]) {
    expect(other.originals).not.toEqual(own.originals);
    expect(other.canvases.map(({ masked }) => masked)).not.toEqual(own.canvases.map(({ masked }) => masked));
  }
});

test("attention opens from causal to full over the annealing, then needs no bias", async () => {
  const source = workplace.source({ annealingSteps: 20, recipe: { canvasLength: 30 } });
  const openShare = async (step: number) => {
    const bias = (await source.trainingBatch(step)).attentionBias!;
    expect(bias.length).toBe(30 * 30);
    let open = 0;
    for (let query = 0; query < 30; query++) {
      for (let key = 0; key <= query; key++) expect(bias[30 * query + key]).toBe(0);
      for (let key = query + 1; key < 30; key++) if (bias[30 * query + key] === 0) open++;
    }
    return open / ((30 * 29) / 2);
  };
  // Step s of 20 opens each of 435 future positions with probability s / 20: within 0.12 at five sigma.
  for (const step of [1, 5, 10, 19]) expect(Math.abs((await openShare(step)) - step / 20)).toBeLessThan(0.12);
  expect((await source.trainingBatch(20)).attentionBias).toBeUndefined();
  expect((await source.trainingBatch(21)).attentionBias).toBeUndefined();
  expect((await source.validationBatch(0)).attentionBias).toBeUndefined();
  // A draw for each step: what is open at one may be closed at the next.
  const [fifth, sixth] = [(await source.trainingBatch(5)).attentionBias!, (await source.trainingBatch(6)).attentionBias!];
  expect(fifth.some((bias, i) => bias === 0 && sixth[i] !== 0)).toBe(true);
});

test("annealing changes neither samples nor noise", async () => {
  const { attentionBias, ...rest } = await workplace.source({ annealingSteps: 20 }).trainingBatch(3);
  expect(attentionBias).toBeDefined();
  expect(rest).toEqual(await workplace.source().trainingBatch(3));
});

test.each([[0, false], [1, false], [2, true]])("with %d annealing steps, whether some step needs a bias is %s", async (annealingSteps, annealed) => {
  const source = workplace.source({ annealingSteps });
  expect(source.annealed).toBe(annealed);
  expect((await source.trainingBatch(1)).attentionBias !== undefined).toBe(annealed);
});

test("a split that does not fill a canvas is refused by name", () => {
  const { train, validation } = workplace;
  const tokens = validation.tokenCount;
  const sourceOf = (canvasLength: number) => () => workplace.source({ recipe: { canvasLength } });
  expect(tokens).toBeLessThan(train.tokenCount);
  expect(sourceOf(tokens)).not.toThrow();
  expect(sourceOf(tokens + 1)).toThrow(`shards, validation split: expected at least ${tokens + 1} tokens (canvasLength), found ${tokens}. Add sources, or shorten the canvas.`);
  expect(sourceOf(train.tokenCount + 1)).toThrow(/^shards, train split: /);
  const code = () => shardBatches({ stage: "test", seed: 1, recipe: { ...recipe, canvasLength: 5000 }, maskId: 22, train, validation, annealingSteps: 0 });
  expect(code).toThrow(expect.objectContaining({ code: "UnusableData", retryable: false }) as Error);
});

test("a cut batch hides, counts and sees nothing from its end on, and draws the noise it would whole", async () => {
  const source = workplace.source({ recipe: { cutShare: 1 } });
  const whole = workplace.source();
  expect(source.annealed).toBe(true);
  const ends = new Set<number>();
  for (let step = 1; step <= 12; step++) {
    const [cut, plain] = [await source.trainingBatch(step), await whole.trainingBatch(step)];
    const end = cut.canvases[0]!.end!;
    ends.add(end);
    expect(cut.maskableCount).toBe(4 * (end - 1));
    cut.canvases.forEach((canvas, i) => {
      expect(canvas.end).toBe(end);
      expect(canvas.masked).toEqual(plain.canvases[i]!.masked.filter((position) => position < end));
    });
    cut.attentionBias!.forEach((bias, i) => expect(bias < 0).toBe(i % 8 >= end));
    expect([cut.originals, cut.documents]).toEqual([plain.originals, plain.documents]);
  }
  expect(ends.size).toBeGreaterThan(3);
  expect(await source.validationBatch(0)).toEqual(await whole.validationBatch(0));
});

test("a cut of an annealed batch closes what annealing had opened behind the end, and opens nothing", async () => {
  const [cut, plain] = [workplace.source({ annealingSteps: 20, recipe: { cutShare: 1 } }), workplace.source({ annealingSteps: 20 })];
  const [{ attentionBias, canvases }, { attentionBias: annealed }] = [await cut.trainingBatch(9), await plain.trainingBatch(9)];
  attentionBias!.forEach((bias, i) => expect(bias).toBe(i % 8 >= canvases[0]!.end! ? Math.fround(-1e9) : annealed![i]));
});

test("a clean prefix is hidden nowhere and not counted; a cut batch keeps none", async () => {
  const everything = { noise: FULL_NOISE, batchSize: 16 };
  const { canvases, maskableCount } = await workplace.source({ recipe: { ...everything, cleanPrefixShare: 1 } }).trainingBatch(1);
  const prefixes = canvases.map(({ masked }) => masked[0]!);
  canvases.forEach(({ masked }, i) => expect(masked).toEqual(Array.from({ length: 8 - prefixes[i]! }, (_, j) => prefixes[i]! + j)));
  expect(new Set(prefixes).size).toBeGreaterThan(3);
  expect(maskableCount).toBe(prefixes.reduce((sum, first) => sum + 8 - first, 0));
  const both = await workplace.source({ recipe: { ...everything, cleanPrefixShare: 1, cutShare: 1 } }).trainingBatch(1);
  expect(both.canvases.every(({ masked, end }) => masked.length === end! - 1)).toBe(true);
  const some = await workplace.source({ recipe: { ...everything, cleanPrefixShare: 0.5 } }).trainingBatch(1);
  expect(new Set(some.canvases.map(({ masked }) => masked.length === 7))).toEqual(new Set([true, false]));
});

test("batches for next-token prediction hold the same samples whole, and ask for every token but the first from those before it", async () => {
  const { train, validation } = workplace;
  const source = causalBatches({ stage: "test", seed: SEED, recipe, train, validation });
  const diffusion = workplace.source();
  expect(source.annealed).toBe(true);
  for (const [batch, like] of [
    [await source.trainingBatch(3), await diffusion.trainingBatch(3)],
    [await source.validationBatch(1), await diffusion.validationBatch(1)],
  ] as const) {
    expect([batch.originals, batch.documents, batch.maskableCount]).toEqual([like.originals, like.documents, 4 * 7]);
    batch.canvases.forEach((canvas, i) => expect(canvas).toEqual({ tokens: batch.originals[i], masked: [1, 2, 3, 4, 5, 6, 7], noiseLevel: 1 }));
    batch.attentionBias!.forEach((bias, i) => expect(bias < 0).toBe(i % 8 > Math.floor(i / 8)));
  }
});
