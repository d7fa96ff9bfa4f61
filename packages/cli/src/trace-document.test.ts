import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { corpusStage } from "@diffucoder/corpus";
import { docIdOf, writeDocuments, writeShards } from "@diffucoder/formats";
import { openStore, runStage, type ArtifactRef, type StageContext, type StageDefinition, type StageRequest, type StageResult, type Store } from "@diffucoder/lineage";
import { formatLedger, ledgerEntry, shardBatches, openTrainingShards } from "@diffucoder/training";
import { trainTokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { renderTrace } from "./commands/takedown.ts";
import { traceDocument, type DocumentTrace } from "./trace-document.ts";

const TEXTS = Array.from({ length: 40 }, (_, i) => `def f${i}(x):\n    return x + ${i}\n`);
const WANTED = 17;
const RECIPE = { steps: 6, batchSize: 2, canvasLength: 16, keepAt: 4 };

let folder: string;
let store: Store;
let refs: { documents: ArtifactRef; shards: ArtifactRef; trained: ArtifactRef; tuned: ArtifactRef; other: ArtifactRef };

/** A stage with this test's own work in it, run and recorded as every stage is. */
async function run(name: string, inputs: Record<string, ArtifactRef>, outputs: StageDefinition["outputs"], recipe: object, work: (request: StageRequest<typeof RECIPE>, context: StageContext) => Promise<StageResult>) {
  const definition: StageDefinition = {
    name,
    packageName: "@diffucoder/cli",
    entry: join(import.meta.dirname, "quantities.ts"),
    resource: "cpu",
    inputs: Object.fromEntries(Object.entries(inputs).map(([role, { kind }]) => [role, { kind }])),
    outputs,
    recipeSchema: z.looseObject({}),
    executionSchema: z.strictObject({}),
    run: work,
  };
  const numerics = { dtype: "fp32", instructionSet: "any", threads: 1, libtensorflow: "none" } as const;
  return runStage({ store, definition, request: { recipe, execution: {}, inputs, seed: 3, baseDirectory: folder }, numerics, signal: new AbortController().signal, now: () => performance.now() });
}

const result = (output: string, kind: ArtifactRef["kind"], directory: string): StageResult => ({ outputs: { [output]: { kind, directory, meta: {} } }, summary: {} });

async function makeDocuments(texts: readonly string[]) {
  const { outputs } = await run("corpus", {}, { documents: "documents" }, { texts: texts.length }, async (_, { scratchDir }) => {
    const rows = texts.map((text, i) => ({ docId: docIdOf(text), source: "card", path: `f${i}.py`, language: "python", license: "MIT", split: "train" as const, text }));
    await writeDocuments(join(scratchDir, "documents"), rows);
    return result("documents", "documents", join(scratchDir, "documents"));
  });
  return outputs.documents!;
}

async function makeShards(documents: ArtifactRef, texts: readonly string[]) {
  const tokenizer = await trainTokenizer(TEXTS, { vocabSize: 300 });
  const { outputs } = await run("tokenize", { documents }, { shards: "shards" }, {}, async (_, { scratchDir }) => {
    const directory = join(scratchDir, "shards");
    const rows = texts.map((text) => ({ docId: docIdOf(text), source: "card", language: "python", tokens: tokenizer.encode(text) }));
    const options = { vocabSize: tokenizer.vocabSize, tokenizerSha256: "0", tokensPerShard: 100 };
    await writeShards(join(directory, "train"), rows, options);
    await writeShards(join(directory, "validation"), rows.slice(0, 9), options);
    await writeFile(join(directory, "tokenizer.json"), tokenizer.toJson());
    return result("shards", "shards", directory);
  });
  return outputs.shards!;
}

/** Draws batches as pretraining does and keeps the ledger of them; only the model is left out. */
async function train(shards: ArtifactRef, changeLedger = (documents: readonly string[]) => documents) {
  const { outputs } = await run("pretraining", { shards }, { checkpoint: "checkpoint" }, { ...RECIPE, changed: changeLedger([]).length }, async ({ seed }, { artifacts, scratchDir, saveCheckpoint }) => {
    const opened = await openTrainingShards(artifacts, shards);
    const recipe = { ...RECIPE, noise: { levels: "independent", smallest: 0.001 } } as never;
    const source = shardBatches({ stage: "pretraining", seed, recipe, maskId: 1, train: opened.train, validation: opened.validation, annealingSteps: 0 });
    const ledger = [];
    for (let step = 1; step <= RECIPE.steps; step++) {
      ledger.push(ledgerEntry(step, RECIPE.batchSize, changeLedger((await source.trainingBatch(step)).documents)));
      const directory = join(scratchDir, `step-${step}`);
      await mkdir(directory);
      await writeFile(join(directory, "ledger.jsonl"), formatLedger(ledger));
      if (step < RECIPE.steps) await saveCheckpoint(step, directory, { step });
    }
    await opened.close();
    return result("checkpoint", "checkpoint", join(scratchDir, `step-${RECIPE.steps}`));
  });
  return outputs.checkpoint!;
}

async function tune(checkpoint: ArtifactRef) {
  const { outputs } = await run("instruction-tuning", { checkpoint }, { checkpoint: "checkpoint" }, {}, async (_, { scratchDir }) => {
    await mkdir(join(scratchDir, "tuned"));
    await writeFile(join(scratchDir, "tuned", "weights"), checkpoint.digest);
    return result("checkpoint", "checkpoint", join(scratchDir, "tuned"));
  });
  return outputs.checkpoint!;
}

let trace: DocumentTrace;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "trace-"));
  store = await openStore(join(folder, "store"));
  const documents = await makeDocuments(TEXTS);
  const shards = await makeShards(documents, TEXTS);
  const trained = await train(shards);
  // A second line that never saw the document.
  const otherTexts = TEXTS.slice(0, WANTED);
  const other = await train(await makeShards(await makeDocuments(otherTexts), otherTexts));
  refs = { documents, shards, trained, tuned: await tune(trained), other };
  await store.names.assign("pretraining.checkpoint@run-1", trained);
  await store.names.assign("pretraining.checkpoint@run-2", other);
  await store.names.assign("instruction-tuning.checkpoint@run-1", refs.tuned);
  trace = await traceDocument(store, docIdOf(TEXTS[WANTED]!));
});
afterAll(() => rm(folder, { recursive: true }));

test("names the corpus row and every shard row", async () => {
  const docId = docIdOf(TEXTS[WANTED]!);
  expect(trace.documents).toEqual([{ artifact: refs.documents.digest, docId, source: "card", path: "f17.py", license: "MIT" }]);
  expect(trace.shards).toHaveLength(1);
  const [place] = trace.shards;
  expect(place).toMatchObject({ artifact: refs.shards.digest, docId, split: "train" });
  expect(place!.shard).not.toBe("shard-00000.arrow");
  const { train: opened, close } = await openTrainingShards(store.artifacts, refs.shards);
  expect(opened.documentOffsets[WANTED]).toBe(place!.firstToken);
  expect(opened.documentOffsets[WANTED + 1]).toBe(place!.firstToken + place!.tokens);
  await close();
});

test("names every run and the very steps that trained on it, as the sample order has them and the ledger proves", async () => {
  const opened = await openTrainingShards(store.artifacts, refs.shards);
  const recipe = { ...RECIPE, noise: { levels: "independent", smallest: 0.001 } } as never;
  const source = shardBatches({ stage: "pretraining", seed: 3, recipe, maskId: 1, train: opened.train, validation: opened.validation, annealingSteps: 0 });
  const expected: number[] = [];
  for (let step = 1; step <= RECIPE.steps; step++) if ((await source.trainingBatch(step)).documents.includes(docIdOf(TEXTS[WANTED]!))) expected.push(step);
  await opened.close();
  expect(expected.length).toBeGreaterThan(0);
  expect(expected.length).toBeLessThan(RECIPE.steps);

  expect(trace.runs.map(({ stage, relation }) => `${stage} ${relation}`)).toEqual(["tokenize reads", "pretraining reads", "instruction-tuning inherits"]);
  const [tokenize, pretraining, tuning] = trace.runs;
  expect(tokenize).not.toHaveProperty("steps");
  expect(pretraining).toMatchObject({ steps: expected, isProved: true, outputs: { checkpoint: refs.trained.digest } });
  expect(pretraining!.checkpoints.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5].filter((step) => step >= expected[0]!));
  expect(tuning!.outputs).toEqual({ checkpoint: refs.tuned.digest });
});

test("names what names lead to it, and only those", () => {
  expect(trace.names.map(({ name }) => name)).toEqual(["instruction-tuning.checkpoint@run-1", "pretraining.checkpoint@run-1"]);
});

test("a document is found by the first digits of its id, by its path, and not by anything else", async () => {
  const docId = docIdOf(TEXTS[WANTED]!);
  expect(await traceDocument(store, docId.slice(0, 8))).toEqual(trace);
  expect(await traceDocument(store, "f17.py")).toEqual(trace);
  for (const wanted of [docId.slice(0, 5), "f99.py", "0".repeat(32)]) expect(await traceDocument(store, wanted)).toEqual({ documents: [], dropped: [], shards: [], runs: [], names: [] });
});

test("a file whose text is there by another file is found by its own path, and one that was dropped says by what", async () => {
  const words = (last: string) => `${Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ")} ${last}\n`;
  const files = { "a.py": words("a"), "copy/b.py": words("a"), "like.py": words("b"), "other.py": "x = 1\n", "bad.py": "\0" };
  await mkdir(join(folder, "tree/copy"), { recursive: true });
  for (const [path, text] of Object.entries(files)) await writeFile(join(folder, "tree", path), text);
  const said = ["title", "description", "selection", "personalData", "benchmarkOverlap", "knownGaps", "fitUses", "unfitUses"].map((key) => `${key}: none\n`);
  await writeFile(join(folder, "card.yaml"), `id: card\nversion: "1"\n${said.join("")}origin: { kind: tree, path: tree, license: MIT }\nnearDuplicates: { threshold: 0.8 }\n`);
  const another = await openStore(join(folder, "another"));
  const numerics = { dtype: "fp32", instructionSet: "any", threads: 1, libtensorflow: "none" } as const;
  const request = { recipe: { sources: [{ card: "card.yaml" }] }, execution: {}, inputs: {}, seed: 1, baseDirectory: folder };
  const { outputs } = await runStage({ store: another, definition: corpusStage, request, numerics, signal: new AbortController().signal, now: () => performance.now() });
  const artifact = outputs.documents!.digest;
  const kept = { artifact, docId: docIdOf(files["a.py"]), source: "card", path: "a.py", license: "MIT" };
  expect(await traceDocument(another, "copy/b.py")).toMatchObject({ documents: [kept], dropped: [] });
  const like = { artifact, docId: docIdOf(files["like.py"]), source: "card", path: "like.py", by: "near-duplicate" };
  expect(await traceDocument(another, like.docId)).toMatchObject({ documents: [], dropped: [like], shards: [], runs: [] });
  const bad = await traceDocument(another, "bad.py");
  expect(bad.dropped).toEqual([{ artifact, docId: "", source: "card", path: "bad.py", by: "binary" }]);
  expect(renderTrace(bad)).toMatch(/^in documents: none\n\nread, and dropped\n *artifact +id +source +path +by\n[0-9a-f]{12} +- +card +bad\.py +binary\n\nin shards: none/);
});

test("one in the validation split trained nothing", async () => {
  const { shards, runs } = await traceDocument(store, "f3.py");
  expect(new Set(shards.map(({ split }) => split))).toEqual(new Set(["train", "validation"]));
  expect(runs.filter(({ stage }) => stage === "pretraining")).toHaveLength(2);
});

test("a ledger that says otherwise is told", async () => {
  await train(refs.shards, (documents) => [...documents, "another"]);
  const { runs } = await traceDocument(store, "f17.py");
  expect(runs.filter(({ stage }) => stage === "pretraining").map(({ isProved }) => isProved)).toEqual([true, false]);
});

test("is told in tables", () => {
  const text = renderTrace(trace);
  expect(text).toMatch(/^in documents\nartifact +id +source +path +licence\n[0-9a-f]{12} +[0-9a-f]{32} +card +f17\.py +MIT\n\nin shards\n/);
  expect(text).toMatch(/pretraining +reads +\d, from step \d to \d, as the ledger proves +checkpoint [0-9a-f]{12}, step \d/);
  expect(text).toMatch(/instruction-tuning +inherits +- +checkpoint/);
  expect(text).toMatch(/\n\nnames\nname +artifact\ninstruction-tuning\.checkpoint@run-1 +[0-9a-f]{12}\n/);
  expect(renderTrace({ ...trace, shards: [], runs: [], names: [] })).toMatch(/in shards: none\n\nruns: none\n\nnames: none$/);
});
