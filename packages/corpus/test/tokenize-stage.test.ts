import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOCUMENTS_FILE, docIdOf, openShards, readDocuments, writeDocuments, type DocumentRow, type Split } from "@diffucoder/formats";
import { openStore, sha256, type ArtifactRef, type StagePlan, type Store } from "@diffucoder/lineage";
import { Tokenizer, trainTokenizer } from "@diffucoder/tokenizer";
import { beforeAll, expect, test } from "vitest";
import { tokenizeStage } from "../src/index.ts";
import { emptyStore, runCorpus, runTokenize, TINY_TASKS } from "./run-stages.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

const SOURCES = [{ card: "tiny-tree.yaml" }, { card: TINY_TASKS }];

let store: Store;
let documents: ArtifactRef;
let rows: DocumentRow[];

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), "tokenize-"));
  store = await openStore(directory);
  documents = await corpusIn(store);
  rows = await Array.fromAsync(readDocuments(await store.artifacts.file(documents, DOCUMENTS_FILE)));
  return () => rm(directory, { recursive: true, force: true });
});

async function corpusIn(store: Store): Promise<ArtifactRef> {
  return (await runCorpus(store, { sources: SOURCES, validationShare: 0.2 })).outputs.documents!;
}

/** Documents of one split as the shards hold them, in order. */
async function shardDocuments(shards: ArtifactRef, split: Split) {
  const set = await openShards((path) => store.artifacts.file(shards, `${split}/${path}`), { verify: true });
  try {
    const { documentOffsets, docIds, sources, manifest } = set;
    const found = [];
    for (const [i, docId] of docIds.entries()) {
      const start = documentOffsets[i]!;
      found.push({ docId, source: sources[i]!, tokens: [...set.readTokens(start, documentOffsets[i + 1]! - start)] });
    }
    return { documents: found, manifest };
  } finally {
    await set.close();
  }
}

const tokenizerOf = async (shards: ArtifactRef) => Tokenizer.fromJson(await readFile(await store.artifacts.file(shards, "tokenizer.json"), "utf8"));
const of = (rows: readonly DocumentRow[], split: Split) => rows.filter((row) => row.split === split);

/** How often each document is used, by id. */
function usesOf(documents: readonly { docId: string }[]): Map<string, number> {
  const uses = new Map<string, number>();
  for (const { docId } of documents) uses.set(docId, (uses.get(docId) ?? 0) + 1);
  return uses;
}

test("each document is its text as tokens, closed by one end of text, in the order of the corpus, train and validation apart", async () => {
  const { outputs, summary } = await runTokenize(store, { vocabSize: 300 }, { documents });
  const tokenizer = await tokenizerOf(outputs.shards!);
  const end = tokenizer.id("<|endoftext|>");
  const counts: Record<string, { documents: number; tokens: number; root: string }> = {};
  for (const split of ["train", "validation"] as const) {
    const { documents: found, manifest } = await shardDocuments(outputs.shards!, split);
    expect(found.length).toBeGreaterThan(30);
    expect(found.map(({ docId, source }) => [docId, source])).toEqual(of(rows, split).map(({ docId, source }) => [docId, source]));
    for (const [i, { tokens }] of found.entries()) {
      expect(tokens.indexOf(end)).toBe(tokens.length - 1);
      expect(tokenizer.decode(tokens.slice(0, -1))).toBe(of(rows, split)[i]!.text);
    }
    expect(manifest).toMatchObject({ vocabSize: tokenizer.vocabSize, tokenizerSha256: sha256(tokenizer.toJson()) });
    counts[split] = { documents: found.length, tokens: found.reduce((sum, { tokens }) => sum + tokens.length, 0), root: manifest.root };
  }
  expect(rows.filter(({ text }) => text.includes("<|endoftext|>"))).toHaveLength(1); // as text, which closes nothing
  expect(summary).toEqual({ vocabSize: 300, ...counts });
  expect((await store.artifacts.manifest(outputs.shards!)).meta).toEqual(summary);
});

test("the vocabulary is learned from training documents only", async () => {
  const { outputs } = await runTokenize(store, { vocabSize: 320 }, { documents });
  const json = await readFile(await store.artifacts.file(outputs.shards!, "tokenizer.json"), "utf8");
  const learnedFrom = async (texts: readonly string[]) => (await trainTokenizer(texts, { vocabSize: 320 })).toJson();
  expect(json).toBe(await learnedFrom(of(rows, "train").map(({ text }) => text)));
  expect(json).not.toBe(await learnedFrom(rows.map(({ text }) => text)));
});

test("a vocabulary from few bytes is learned from documents spread evenly over the corpus", async () => {
  const train = of(rows, "train");
  const total = train.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  const trainingBytes = Math.ceil(total / 4) + 1; // a bit above a quarter: every fourth document
  const { outputs } = await runTokenize(store, { vocabSize: 320, trainingBytes }, { documents });
  const json = await readFile(await store.artifacts.file(outputs.shards!, "tokenizer.json"), "utf8");
  const everyFourth = train.filter((_, i) => i % 4 === 0).map(({ text }) => text);
  expect(json).toBe((await trainTokenizer(everyFourth, { vocabSize: 320 })).toJson());
  const one = await runTokenize(store, { vocabSize: 320, trainingBytes: 1 }, { documents });
  expect((await tokenizerOf(one.outputs.shards!)).toJson()).toBe((await trainTokenizer([train[0]!.text], { vocabSize: 320 })).toJson());
});

test("large documents that the sample would be full of are passed over once it has twice its bytes", async () => {
  const folder = await temporaryDirectory();
  const large = ["ab ", "cd ", "ef "].map((word, i) => word.repeat(i === 1 ? 150 : 100));
  const texts = large.flatMap((text, i) => [text, `${i}`, `${i + 3}`]); // 1,056 bytes
  const row = (text: string): DocumentRow => ({ docId: docIdOf(text), source: "test", path: text, language: "python", license: "MIT", split: "train", text });
  await writeDocuments(folder, texts.map(row));
  const { outputs } = await runTokenize(store, { vocabSize: 320, trainingBytes: 352 }, { documents: await store.artifacts.publish("documents", folder, {}) });
  expect((await tokenizerOf(outputs.shards!)).toJson()).toBe((await trainTokenizer([large[0]!, large[2]!], { vocabSize: 320 })).toJson());
  const { outputs: all } = await runTokenize(store, { vocabSize: 320, trainingBytes: 1056 }, { documents: await store.artifacts.publish("documents", folder, {}) });
  expect((await tokenizerOf(all.shards!)).toJson()).toBe((await trainTokenizer(texts, { vocabSize: 320 })).toJson());
});

test("a tokenizer given as input is used as it is", async () => {
  const first = await runTokenize(store, { vocabSize: 300 }, { documents });
  const second = await runTokenize(store, { mixture: { "tiny-tree": 0 } }, { documents, tokenizer: first.outputs.shards! });
  const jsonOf = async ({ outputs }: typeof first) => readFile(await store.artifacts.file(outputs.shards!, "tokenizer.json"), "utf8");
  expect(await jsonOf(second)).toBe(await jsonOf(first));
  expect(second.summary.vocabSize).toBe(300);
  const [train, without] = await Promise.all([first, second].map(({ outputs }) => shardDocuments(outputs.shards!, "train")));
  expect(without!.documents).toEqual(train!.documents.filter(({ source }) => source !== "tiny-tree"));
});

test.each([
  ["neither", {}, false],
  ["both", { vocabSize: 300 }, true],
])("of vocabSize and a tokenizer one is needed: %s is refused", async (found, recipe, given) => {
  const { outputs } = await runTokenize(store, { vocabSize: 300 }, { documents });
  await expect(runTokenize(store, recipe, { documents, ...(given ? { tokenizer: outputs.shards! } : {}) })).rejects.toMatchObject({
    code: "InvalidRecipe",
    message: `stage tokenize: expected either vocabSize or a tokenizer input, found ${found}`,
  });
});

test("a mixture of a source that is not in the documents is refused, with those that are", async () => {
  await expect(runTokenize(store, { vocabSize: 300, mixture: { "tiny-tree": 1, tree: 2, wheels: 1 } }, { documents })).rejects.toMatchObject({
    code: "InvalidRecipe",
    message: "stage tokenize: mixture: expected ids of tiny-tasks, tiny-tree, found tree, wheels",
  });
});

test("whole weights repeat a source's documents, one round after the other", async () => {
  const { outputs } = await runTokenize(store, { vocabSize: 300, mixture: { "tiny-tree": 3, "tiny-tasks": 2 } }, { documents });
  const train = of(rows, "train").map(({ docId, source }) => ({ docId, source }));
  const found = (await shardDocuments(outputs.shards!, "train")).documents.map(({ docId, source }) => ({ docId, source }));
  expect(found).toEqual([...train, ...train, ...train.filter(({ source }) => source === "tiny-tree")]);
});

test("a fraction keeps a share of a source's documents by a draw of their own, more of it keeps the same and others", async () => {
  const count = of(rows, "train").filter(({ source }) => source === "tiny-tasks").length;
  const usesAt = async (weight: number, seed = 1) => {
    const { outputs } = await runTokenize(store, { vocabSize: 300, mixture: { "tiny-tasks": weight } }, { documents }, { seed });
    return usesOf((await shardDocuments(outputs.shards!, "train")).documents.filter(({ source }) => source === "tiny-tasks"));
  };
  const [none, third, half, more] = [await usesAt(0), await usesAt(0.3), await usesAt(0.5), await usesAt(1.5)];
  expect(none.size).toBe(0);
  expect(Math.abs(third.size / count - 0.3)).toBeLessThan(0.13); // four standard deviations of sqrt(0.3 * 0.7 / 220)
  expect([...third.keys()].filter((id) => !half.has(id))).toEqual([]);
  expect(half.size).toBeGreaterThan(third.size);
  expect([...more.values()].reduce((sum, uses) => sum + uses, 0)).toBe(count + half.size); // 1.5 is each once, and the half again
  expect([...more].filter(([, uses]) => uses === 2).map(([id]) => id)).toEqual([...half.keys()]);
  expect([...(await usesAt(0.5, 2)).keys()]).not.toEqual([...half.keys()]);
});

test("validation uses a document at most once, and follows fractions", async () => {
  const validationAt = async (mixture: object) => {
    const { outputs } = await runTokenize(store, { vocabSize: 300, mixture }, { documents });
    return (await shardDocuments(outputs.shards!, "validation")).documents.map(({ docId }) => docId);
  };
  const all = of(rows, "validation").map(({ docId }) => docId);
  expect(await validationAt({})).toEqual(all);
  expect(await validationAt({ "tiny-tasks": 3.5, "tiny-tree": 2 })).toEqual(all);
  expect(await validationAt({ "tiny-tasks": 0 })).toEqual(of(rows, "validation").filter(({ source }) => source === "tiny-tree").map(({ docId }) => docId));
  expect((await validationAt({ "tiny-tasks": 0.5 })).length).toBeLessThan(all.length);
});

test("shards hold the same stream however it is cut", async () => {
  const cut = async (tokensPerShard: number) => {
    const { outputs } = await runTokenize(store, { vocabSize: 300, tokensPerShard }, { documents });
    return shardDocuments(outputs.shards!, "train");
  };
  const [whole, many] = [await cut(1 << 22), await cut(1000)];
  expect(whole.manifest.shards).toHaveLength(1);
  expect(many.manifest.shards.length).toBeGreaterThan(5);
  expect(many.documents).toEqual(whole.documents);
});

test("two runs in two stores give equal bytes", async () => {
  const digests = [];
  for (const store of [await emptyStore(), await emptyStore()]) {
    const { outputs, key } = await runTokenize(store, { vocabSize: 400, mixture: { "tiny-tasks": 1.5 } }, { documents: await corpusIn(store) });
    digests.push({ key, shards: outputs.shards!.digest });
  }
  expect(digests[1]).toEqual(digests[0]);
});

test("progress counts documents, and a request to stop is honoured", async () => {
  const steps: Record<string, number[]> = {};
  await runTokenize(store, { vocabSize: 302 }, { documents }, {}, {
    onProgress: ({ step, totalSteps, unit, note }) => {
      expect([totalSteps, unit]).toEqual([rows.length, "documents"]);
      (steps[note!] ??= []).push(step);
    },
  });
  const all = [0, 64, 128, 192, 256];
  expect(steps).toMatchObject({ census: all, vocabulary: all, encoding: all });
  expect([steps["writing train"]!.length, steps["writing validation"]!.length]).toEqual([4, 1]); // of 238 and 59
  const controller = new AbortController();
  const stopped = runTokenize(store, { vocabSize: 301 }, { documents }, {}, { signal: controller.signal, onProgress: ({ step, note }) => void (step === 128 && note === "encoding" && setImmediate(() => controller.abort())) });
  await expect(stopped).rejects.toMatchObject({ code: "StageCancelled", message: "stage tokenize: stopped on request" });
  expect((await runTokenize(store, { vocabSize: 301 }, { documents })).cached).toBe(false);
});

test.each([
  ["a vocabulary smaller than bytes and special tokens leave room for", { vocabSize: 299 }, /recipe\.vocabSize: /],
  ["no bytes to learn from", { vocabSize: 300, trainingBytes: 0 }, /recipe\.trainingBytes: /],
  ["a negative weight", { vocabSize: 300, mixture: { "tiny-tree": -1 } }, /recipe\.mixture\.tiny-tree: /],
  ["shards of no tokens", { vocabSize: 300, tokensPerShard: 0 }, /recipe\.tokensPerShard: /],
  ["an unknown key", { vocabSize: 300, vocabulary: 1 }, /recipe: Unrecognized key: "vocabulary"/],
])("a recipe with %s is refused by key", async (_, recipe, message) => {
  await expect(runTokenize(store, recipe, { documents })).rejects.toMatchObject({ code: "InvalidRecipe", message: expect.stringMatching(message) as string });
});

test("the plan tells later stages the size of the vocabulary, learned or taken over", () => {
  const plan = (recipe: unknown, inputs: Record<string, StagePlan>) => tokenizeStage.plan!(tokenizeStage.recipeSchema.parse(recipe), inputs);
  expect(plan({ vocabSize: 512 }, {})).toEqual({ facts: { vocabSize: 512 } });
  expect(plan({}, { tokenizer: { facts: { vocabSize: 400 } } })).toEqual({ facts: { vocabSize: 400 } });
  expect(plan({}, { tokenizer: {} })).toEqual({ facts: { vocabSize: null } });
  expect(plan({}, {})).toEqual({ facts: { vocabSize: null } });
});

test("a budget of tokens sets how often each source is used, and the summary tells plan and outcome", async () => {
  const { outputs, summary } = await runTokenize(store, { vocabSize: 300, budget: { tokens: 3000, shares: { "tiny-tasks": 1 } } }, { documents });
  const { budget } = summary as { budget: Record<string, { planned: number; available: number; times: number; realised: number }> };
  expect(budget["tiny-tree"]).toMatchObject({ planned: 0, times: 0, realised: 0 });
  const { planned, available, times, realised } = budget["tiny-tasks"]!;
  expect([planned, times]).toEqual([3000, 3000 / available]);
  const found = await shardDocuments(outputs.shards!, "train");
  expect(new Set(found.documents.map(({ source }) => source))).toEqual(new Set(["tiny-tasks"]));
  expect(realised).toBe(found.manifest.tokens);
  expect(Math.abs(realised / planned - 1)).toBeLessThan(0.3);
});

test.each([
  ["with a mixture beside it", { mixture: { "tiny-tree": 1 }, budget: { tokens: 1, shares: { "tiny-tree": 1 } } }, "stage tokenize: expected either a mixture or a budget, found both"],
  ["of a source that is not there", { budget: { tokens: 1, shares: { tree: 1 } } }, "stage tokenize: budget.shares: expected ids of tiny-tasks, tiny-tree, found tree"],
])("a budget %s is refused", async (_, recipe, message) => {
  await expect(runTokenize(store, { vocabSize: 300, ...recipe }, { documents })).rejects.toMatchObject({ code: "InvalidRecipe", message });
});
