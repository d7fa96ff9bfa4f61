import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DOCUMENTS_FILE, docIdOf, readDocuments, type DocumentRow } from "@diffucoder/formats";
import { resolveStage, sha256, type ArtifactRef, type Store } from "@diffucoder/lineage";
import { afterEach, expect, test, vi } from "vitest";
import { corpusStage } from "../src/index.ts";
import { emptyStore, FIXTURES, runCorpus, TINY_BENCHMARK, TINY_TASKS } from "./run-stages.ts";
import { temporaryDirectory } from "./temporary-directory.ts";
import { offlineCache, tinyWheel } from "./tiny-wheel.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

const TREE = { card: "tiny-tree.yaml" };
const RECIPE = { sources: [TREE], decontamination: { benchmarks: [TINY_BENCHMARK] }, validationShare: 0.5 };

const documentsOf = async (store: Store, ref: ArtifactRef): Promise<DocumentRow[]> => Array.fromAsync(readDocuments(await store.artifacts.file(ref, DOCUMENTS_FILE)));
const dropsOf = async (store: Store, ref: ArtifactRef) =>
  (await readFile(await store.artifacts.file(ref, "drops.jsonl"), "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, string>);
const fixture = (path: string) => readFile(join(FIXTURES, "tiny-tree", path), "utf8");

test("a tree becomes documents, and every file that does not is listed with its reason", async () => {
  const store = await emptyStore();
  const { outputs, summary, cached } = await runCorpus(store, RECIPE);
  expect(cached).toBe(false);
  const [mean, stack, words] = await Promise.all(["a_mean.py", "pkg/stack.py", "pkg/words.py"].map(fixture));
  const rows = await documentsOf(store, outputs.documents!);
  const common = { source: "tiny-tree", language: "python", license: "Apache-2.0" };
  expect(rows.map(({ split: _, ...row }) => row)).toEqual([
    { ...common, path: "a_mean.py", text: mean, docId: docIdOf(mean!) },
    { ...common, path: "pkg/stack.py", text: stack, docId: docIdOf(stack!) },
    { ...common, path: "pkg/words.py", text: words, docId: docIdOf(words!) },
  ]);
  const source = "tiny-tree";
  expect(await dropsOf(store, outputs.documents!)).toEqual([
    { source, path: "b_mean_again.py", reason: "exact-duplicate", of: docIdOf(mean!) },
    { source, path: "c_mean_renamed.py", reason: "near-duplicate", value: 29 / 30, most: 0.8, of: docIdOf(mean!) },
    { source, path: "d_leak.py", reason: "contaminated", rule: "run", of: "Tiny/0" },
    { source, path: "e_blank.py", reason: "empty" },
    { source, path: "f_latin1.py", reason: "not-utf8" },
  ]);
  const bySplit: Record<string, number> = {};
  for (const { split } of rows) bySplit[split] = (bySplit[split] ?? 0) + 1;
  expect(summary).toEqual({
    filesRead: 8,
    documents: 3,
    bytes: Buffer.byteLength(mean! + stack! + words!),
    bySplit,
    bySource: { "tiny-tree": 3 },
    dropped: { contaminated: 1, empty: 1, "exact-duplicate": 1, "near-duplicate": 1, "not-utf8": 1 },
    droppedBySource: {
      "tiny-tree contaminated": 1,
      "tiny-tree empty": 1,
      "tiny-tree exact-duplicate": 1,
      "tiny-tree near-duplicate": 1,
      "tiny-tree not-utf8": 1,
    },
    benchmarkItems: { searched: 1, tooShort: 1 }, // Tiny/1 has five words
  });
  expect((await store.artifacts.manifest(outputs.documents!)).meta).toEqual(summary);
});

test("the length of the shared run is the recipe's, ten unless given", async () => {
  const dropsWith = async (words: number | undefined) => {
    const { summary } = await runCorpus(await emptyStore(), { ...RECIPE, decontamination: { benchmarks: [TINY_BENCHMARK], ...(words === undefined ? {} : { words }) } });
    return (summary.dropped as Record<string, number>).contaminated ?? 0;
  };
  // The leak repeats the docstring and what closes it: return the widest gap between two neighbours of a sorted list of numbers.
  expect(await dropsWith(undefined)).toBe(1);
  expect(await dropsWith(14)).toBe(1);
  expect(await dropsWith(15)).toBe(0);
});

test("without decontamination nothing is contaminated", async () => {
  const { summary } = await runCorpus(await emptyStore(), { sources: [TREE] });
  expect(summary).toMatchObject({ documents: 4, dropped: { "exact-duplicate": 1 }, benchmarkItems: { searched: 0, tooShort: 0 } });
});

test("sources follow each other in the recipe's order, and the earlier one keeps what both hold", async () => {
  const wheel = tinyWheel("tiny-a", { "tiny_a/words.py": await fixture("pkg/words.py"), "tiny_a/more.py": "more = 1\n" });
  await offlineCache({ cached: [wheel] });
  const directory = await temporaryDirectory();
  await cp(FIXTURES, directory, { recursive: true });
  const text = (await readFile(join(directory, "tiny-tree.yaml"), "utf8"))
    .replace(/^id: .*$/m, "id: tiny-wheel")
    .replace(/^origin: .*$/m, `origin: { kind: wheels, wheels: [${JSON.stringify(wheel.pin)}] }`)
    .replace(/^counts: .*$/m, `counts: { files: 2, bytes: ${Buffer.byteLength(await fixture("pkg/words.py")) + "more = 1\n".length} }`);
  await writeFile(join(directory, "tiny-wheel.yaml"), text);
  const bySource = async (...cards: string[]) => (await runCorpus(await emptyStore(), { sources: cards.map((card) => ({ card })) }, { baseDirectory: directory })).summary;
  expect(await bySource("tiny-tree.yaml", "tiny-wheel.yaml")).toMatchObject({ bySource: { "tiny-tree": 4, "tiny-wheel": 1 }, droppedBySource: { "tiny-wheel exact-duplicate": 1 } });
  expect(await bySource("tiny-wheel.yaml", "tiny-tree.yaml")).toMatchObject({ bySource: { "tiny-tree": 3, "tiny-wheel": 2 }, droppedBySource: { "tiny-tree exact-duplicate": 2 } });
});

test("two runs in two stores give equal bytes, and a second run in one store is found there", async () => {
  const recipe = { ...RECIPE, sources: [TREE, { card: TINY_TASKS }] };
  const [first, second] = [await emptyStore(), await emptyStore()];
  const one = await runCorpus(first, recipe);
  const other = await runCorpus(second, recipe);
  expect(other.outputs.documents!.digest).toBe(one.outputs.documents!.digest);
  expect(other.key).toBe(one.key);
  expect(await runCorpus(first, recipe)).toMatchObject({ cached: true, outputs: one.outputs, summary: one.summary });
});

test("another seed moves documents across the split and changes nothing else", async () => {
  const store = await emptyStore();
  const recipe = { sources: [{ card: TINY_TASKS }], validationShare: 0.2 };
  const [one, two] = [await runCorpus(store, recipe), await runCorpus(store, recipe, { seed: 2 })];
  expect(two.key).not.toBe(one.key);
  const [a, b] = [await documentsOf(store, one.outputs.documents!), await documentsOf(store, two.outputs.documents!)];
  const without = (rows: readonly DocumentRow[]) => rows.map(({ split: _, ...row }) => row);
  expect(without(b)).toEqual(without(a));
  expect(b).not.toEqual(a);
});

test("programs that compute the same lie on one side of the split", async () => {
  const store = await emptyStore();
  const { outputs } = await runCorpus(store, { sources: [{ card: TINY_TASKS }], validationShare: 0.3 });
  const rows = await documentsOf(store, outputs.documents!);
  // The first line is the instruction; the same instruction is the same behaviour, whatever the names.
  const sides = new Map<string, Set<string>>();
  for (const { text, split } of rows) {
    const instruction = text.split("\n")[0]!;
    sides.set(instruction, (sides.get(instruction) ?? new Set()).add(split));
  }
  expect(sides.size).toBeLessThan(rows.length);
  expect([...sides.values()].filter(({ size }) => size > 1)).toEqual([]);
});

async function sourcesOf(recipe: object, baseDirectory = FIXTURES) {
  const { key, facts } = await resolveStage(corpusStage, { recipe, execution: {}, inputs: {}, seed: 1, baseDirectory }, "fp32");
  return { key, sources: facts.sources };
}

test("the stage key takes in cards, trees and benchmarks by their digests", async () => {
  const { sources } = await sourcesOf({ ...RECIPE, sources: [TREE, { card: TINY_TASKS }] });
  const card = async (path: string) => sha256(await readFile(join(FIXTURES, path), "utf8"));
  expect(sources).toEqual({
    "tiny-tree.yaml": `${await card("tiny-tree.yaml")} 9c31ba5e458a995492e1956d67f202e41a1d5b12728218b22bc3ec7efdf24712`,
    [TINY_TASKS]: await card(TINY_TASKS),
    "benchmark tiny-benchmark.jsonl": TINY_BENCHMARK.sha256,
  });
});

test("a changed word in a card, and a changed byte in a tree that no digest pins, are other keys", async () => {
  const directory = await temporaryDirectory();
  await cp(FIXTURES, directory, { recursive: true });
  const card = join(directory, "tiny-tree.yaml");
  const unpinned = (await readFile(card, "utf8")).replace(/ sha256: [0-9a-f]{64},/, "");
  await writeFile(card, unpinned);
  const recipe = { sources: [TREE] };
  const before = await sourcesOf(recipe, directory);
  await writeFile(card, unpinned.replace("Written for the tests.", "Written for these tests."));
  const reworded = await sourcesOf(recipe, directory);
  await writeFile(card, unpinned);
  await writeFile(join(directory, "tiny-tree/notes.txt"), "Other notes.\n");
  const changed = await sourcesOf(recipe, directory);
  expect(new Set([before.key, reworded.key, changed.key]).size).toBe(3);
  expect(reworded.sources["tiny-tree.yaml"]!.split(" ")[1]).toBe(before.sources["tiny-tree.yaml"]!.split(" ")[1]);
  expect(changed.sources["tiny-tree.yaml"]!.split(" ")[0]).toBe(before.sources["tiny-tree.yaml"]!.split(" ")[0]);
  expect(changed.sources["tiny-tree.yaml"]!.split(" ")[1]).toMatch(/^[0-9a-f]{64}$/);
});

test("a benchmark card is in the key as `benchmark` and its path", async () => {
  const { sources } = await sourcesOf({ sources: [{ card: TINY_TASKS }], decontamination: { benchmarks: [{ kind: "card", card: "../../../../data-cards/humaneval.yaml", member: "x" }] } });
  expect(sources["benchmark ../../../../data-cards/humaneval.yaml"]).toBe(sha256(await readFile(join(FIXTURES, "../../../../data-cards/humaneval.yaml"), "utf8")));
});

test("a tree that drifted since its card was written stops the stage before it begins", async () => {
  const directory = await temporaryDirectory();
  await cp(FIXTURES, directory, { recursive: true });
  await writeFile(join(directory, "tiny-tree/pkg/words.py"), "changed = 1\n");
  await expect(runCorpus(await emptyStore(), RECIPE, { baseDirectory: directory })).rejects.toMatchObject({ code: "SourceDrift", message: expect.stringContaining("card tiny-tree") as string });
});

test("a corpus of which nothing is left is an error that says what was dropped", async () => {
  const directory = await temporaryDirectory();
  await cp(FIXTURES, directory, { recursive: true });
  const card = await readFile(join(directory, "tiny-tree.yaml"), "utf8");
  await writeFile(join(directory, "tiny-tree.yaml"), `${card}largestFileBytes: 3\n`);
  const store = await emptyStore();
  await expect(runCorpus(store, RECIPE, { baseDirectory: directory })).rejects.toMatchObject({
    code: "EmptyCorpus",
    retryable: false,
    message: 'corpus: expected documents, found none; dropped {"too-large":8}. Loosen the cards\' filters or add sources.',
    details: { drops: { "too-large": 8 } },
  });
});

test("two cards of one id are refused, as nothing would tell their documents apart", async () => {
  await expect(runCorpus(await emptyStore(), { sources: [TREE, { card: "./tiny-tree.yaml" }] })).rejects.toMatchObject({
    code: "InvalidRecipe",
    message: "stage corpus: sources: expected cards of different ids, found tiny-tree again at ./tiny-tree.yaml",
  });
});

test.each([
  ["no sources", { sources: [] }, /recipe\.sources: /],
  ["an unknown key", { sources: [TREE], seed: 1 }, /recipe: Unrecognized key: "seed"/],
  ["an unknown key of a source", { sources: [{ ...TREE, weight: 2 }] }, /recipe\.sources\.0: Unrecognized key: "weight"/],
  ["a benchmark of another kind", { sources: [TREE], decontamination: { benchmarks: [{ kind: "url", url: "x" }] } }, /recipe\.decontamination\.benchmarks\.0\.kind/],
  ["no benchmarks", { sources: [TREE], decontamination: { benchmarks: [] } }, /recipe\.decontamination\.benchmarks: /],
  ["a benchmark without its digest", { sources: [TREE], decontamination: { benchmarks: [{ kind: "file", path: "x", sha256: "y" }] } }, /recipe\.decontamination\.benchmarks\.0\.sha256/],
  ["runs of two words", { ...RECIPE, decontamination: { ...RECIPE.decontamination, words: 2 } }, /recipe\.decontamination\.words: /],
  ["nothing held out", { ...RECIPE, validationShare: 0 }, /recipe\.validationShare: /],
  ["everything held out", { ...RECIPE, validationShare: 1 }, /recipe\.validationShare: /],
])("a recipe with %s is refused by key", async (_, recipe, message) => {
  await expect(runCorpus(await emptyStore(), recipe)).rejects.toMatchObject({ code: "InvalidRecipe", message: expect.stringMatching(message) as string });
});

test("validation takes one document in twenty unless told otherwise", async () => {
  const { facts } = await resolveStage(corpusStage, { recipe: { sources: [TREE], decontamination: { benchmarks: [TINY_BENCHMARK] } }, execution: {}, inputs: {}, seed: 1, baseDirectory: FIXTURES }, "fp32");
  expect(facts.recipe).toMatchObject({ validationShare: 0.05, decontamination: { words: 10 } });
});

test("progress names the source and the files read, often enough to count as a sign of life", async () => {
  const notes: string[] = [];
  await runCorpus(await emptyStore(), { sources: [TREE, { card: TINY_TASKS }] }, {}, { onProgress: ({ step, totalSteps, unit, note }) => notes.push(`${step}/${totalSteps} ${unit}: ${note}`) });
  expect(notes).toEqual([
    "0/2 sources: reading tiny-tree",
    "0/2 sources: tiny-tree: slice 1",
    "0/2 sources: tiny-tree: 8 files",
    "1/2 sources: reading tiny-tasks",
    ...Array.from({ length: 4 }, () => "1/2 sources: tiny-tasks: slice 1"),
    "1/2 sources: tiny-tasks: 264 files",
    "1/2 sources: tiny-tasks: slice 2",
    "1/2 sources: tiny-tasks: 308 files",
    "2/2 sources: exact-duplicates",
    "2/2 sources: language",
    ...["1 of 3", "2 of 3", "2 of 3", "2 of 3", "2 of 3", "3 of 3"].map((slice) => `2/2 sources: language: slice ${slice}`),
    ...["near-duplicates", "judging", "writing"].flatMap((stage) => [
      `2/2 sources: ${stage}`,
      ...(stage === "judging" ? [] : [1, 65, 129, 193, 257].map((visited) => `2/2 sources: ${stage}: ${visited} of 305 documents`)),
    ]),
  ]);
});

// The request comes from outside, as a signal does: the stage has to take a breath to hear it.
test.each([
  ["before the first file", "reading tiny-tree"],
  ["between files", "tiny-tasks: slice 2"],
])("a request to stop is honoured %s, and the next run starts afresh", async (_, at) => {
  const store = await emptyStore();
  const controller = new AbortController();
  const recipe = { sources: [TREE, { card: TINY_TASKS }] };
  const stopped = runCorpus(store, recipe, {}, { signal: controller.signal, onProgress: ({ note }) => void (note === at && setImmediate(() => controller.abort())) });
  await expect(stopped).rejects.toMatchObject({ code: "StageCancelled", message: "stage corpus: stopped on request" });
  expect(await runCorpus(store, recipe)).toMatchObject({ cached: false, summary: { documents: 304 } });
});
