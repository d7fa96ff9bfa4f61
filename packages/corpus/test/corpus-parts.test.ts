// A corpus whose sources are read and measured by several processes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { docIdOf } from "@diffucoder/formats";
import { openStore, resolveStage, runPart, type StageOutcome, type Store } from "@diffucoder/lineage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { readTable } from "../src/attribute-table.ts";
import { corpusStage, explainDocument } from "../src/index.ts";
import type { PartAssignment } from "./part-process.ts";
import { PORTABLE, TINY_BENCHMARK, FIXTURES, emptyStore, runCorpus } from "./run-stages.ts";
import { addTable, program, type TableRow } from "./table-corpus.ts";
import { temporaryDirectory, writeTree } from "./temporary-directory.ts";
import { tinyCard } from "./tiny-card.ts";

const require = createRequire(import.meta.url);
/** A real tree of some two hundred files. */
const TREE = dirname(require.resolve("yaml/package.json"));

const FEW = { quality: 1, "exact-duplicates": 1, "near-duplicates": 1, licence: 1 };

/** Holds a tree and a table of three slices, with texts, stars and places that recur from one slice to another. */
let baseDirectory: string;
/** Of a run that does all in one process. */
let alone: StageOutcome;

beforeAll(async () => {
  baseDirectory = await mkdtemp(join(tmpdir(), "corpus-parts-"));
  await writeSources(baseDirectory);
  alone = await runCorpus(await openStore(join(baseDirectory, "store")), RECIPE, { baseDirectory });
}, 120_000);
afterAll(() => rm(baseDirectory, { recursive: true }));

async function writeSources(directory: string): Promise<void> {
  const { directory: _, sha256: __, counts: ___, ...card } = tinyCard({ id: "tree", origin: { kind: "tree", path: TREE, license: "ISC" }, include: ["dist/**/*.js"], largestLoss: FEW });
  await writeFile(join(directory, "tree.yaml"), stringify(card));
  const real = readdirSync(join(TREE, "dist"), { encoding: "utf8" }).filter((name) => name.endsWith(".js"));
  const rows = Array.from({ length: 600 }, (_row, i): TableRow => {
    const content = i % 7 === 0 ? readFileSync(join(TREE, "dist", real[i % real.length]!), "utf8") : program(`p${i % 400}`, 4);
    return { content, path: i % 50 === 49 ? "again.py" : `${i}.${i % 3 === 0 ? "js" : "py"}`, repo: `r${i % 20}`, stars: (i * 7) % 11, license: i % 4 === 0 ? "GPL-3.0-only" : "MIT" };
  });
  await addTable(directory, "table", rows, { largestLoss: FEW });
  await writeFile(join(directory, TINY_BENCHMARK.path), readFileSync(join(FIXTURES, TINY_BENCHMARK.path)));
}

const RECIPE = { preset: "refinecode", sources: [{ card: "tree.yaml" }, { card: "table.yaml" }], licences: { allow: ["permissive"] }, decontamination: { benchmarks: [TINY_BENCHMARK] } };

async function assign(store: Store, changes: { baseDirectory: string; recipe: object } = { baseDirectory, recipe: RECIPE }): Promise<(index: number, count: number) => PartAssignment> {
  const { request, facts } = await resolveStage(corpusStage, { ...changes, execution: {}, inputs: {}, seed: 1 }, "fp32");
  return (index, count) => ({ store: store.root, request, part: { index, count }, sources: facts.sources });
}

const doPart = (store: Store, { store: _, ...assignment }: PartAssignment) =>
  runPart({ ...assignment, store, definition: corpusStage, numerics: PORTABLE, signal: new AbortController().signal, now: Date.now });

/** Records of pieces by key: which file it is, and when it was written. */
function piecesOf({ root }: Store): Map<string, string> {
  try {
    const names = readdirSync(join(root, "pieces"));
    const files = names.flatMap((key) => readdirSync(join(root, "pieces", key)).filter((name) => name === "piece.json").map((name) => [key, statSync(join(root, "pieces", key, name))] as const));
    return new Map(files.map(([key, { ino, birthtimeMs }]) => [key, `${ino} ${birthtimeMs}`]));
  } catch {
    return new Map(); // none yet
  }
}

test("the corpus is the same to the byte whatever the number of parts, and what parts have left is not done again", async () => {
  expect(alone.summary).toMatchObject({ dropped: { "exact-duplicate": expect.any(Number) as number, "duplicate-path": expect.any(Number) as number, quality: expect.any(Number) as number } });
  for (const count of [2, 5]) {
    const store = await emptyStore();
    const part = await assign(store);
    const indices = Array.from({ length: count }, (_, index) => count - 1 - index);
    await Promise.all(indices.map((index) => doPart(store, part(index, count))));
    const left = piecesOf(store);
    const whole = await runCorpus(store, RECIPE, { baseDirectory, execution: { partitions: count } });
    expect(whole).toMatchObject({ key: alone.key, outputs: alone.outputs, cached: false });
    const all = piecesOf(store);
    for (const [key, piece] of left) expect(all.get(key)).toBe(piece);
    expect(all.size - left.size).toBe(3); // exact duplicates, licences, near-duplicates: what sees the whole
    expect(await explainDocument(store, whole.outputs.documents!, "dist/index.js")).toMatchObject({ kind: "document", language: "javascript" });
  }
});

test("a document is measured as the file that stands for it, wherever that lies and whatever place another had taken", async () => {
  const folder = await temporaryDirectory();
  const filler = (from: number) => Array.from({ length: 256 }, (_, i): TableRow => ({ content: `filler = ${from + i}\n`, path: `f/${from + i}.txt`, stars: 1 }));
  const [early, doubtful] = [program("early"), program("doubtful")];
  const first = filler(0);
  first[0] = { content: early, path: "a/one.rb", stars: 1 };
  first[1] = { content: "taken = 1\n", path: "a/place.py", stars: 1 };
  const second = filler(256);
  second[0] = { content: early, path: "b/two.py", stars: 5 }; // better than the one of the first slice
  second[1] = { content: doubtful, path: "a/place.py", stars: 9 }; // would stand for the next one, but its place is taken
  second[2] = { content: doubtful, path: "b/other.go", stars: 1 };
  await addTable(folder, "table", [...first, ...second], { include: ["**/*"] });
  const store = await emptyStore();
  const { outputs } = await runCorpus(store, { sources: [{ card: "table.yaml" }], keeper: "most-stars", quality: { thresholds: "stack-v2-like", changes: {} } }, { baseDirectory: folder });
  const rows = async (table: string) => {
    const found = await Array.fromAsync(readTable(await store.artifacts.file(outputs.documents!, `attributes/${table}.parquet`)));
    return { order: found.map(({ doc_id }) => doc_id), of: (text: string) => found.filter(({ doc_id }) => doc_id === docIdOf(text)) };
  };
  const [languages, quality, standing] = [await rows("language"), await rows("quality"), await rows("exact-duplicates")];
  expect(standing.of(early)).toMatchObject([{ path: "b/two.py", copies: 2 }]);
  expect(standing.of(doubtful)).toMatchObject([{ path: "b/other.go", copies: 1 }]);
  expect(languages.of(early)).toMatchObject([{ language: "python" }]);
  expect(languages.of(doubtful)).toMatchObject([{ language: "go" }]);
  expect([...quality.of(early), ...quality.of(doubtful)]).toMatchObject([{ family: "python" }, { family: "go" }]);
  expect(languages.order).toEqual(standing.order); // that of the first files
  expect(languages.order.indexOf(docIdOf(early))).toBe(0);
});

test("a part whose process is killed goes on from the pieces that it had left", async () => {
  const store = await emptyStore();
  const part = (await assign(store))(0, 1);
  const child = spawn(process.execPath, ["--conditions=@diffucoder/source", join(import.meta.dirname, "part-process.ts"), JSON.stringify(part)], { stdio: "inherit" });
  while (piecesOf(store).size < 3 && child.exitCode === null) await sleep(5);
  child.kill("SIGKILL");
  await once(child, "exit");
  const left = piecesOf(store);
  await doPart(store, part);
  const all = piecesOf(store);
  expect(all.size).toBeGreaterThan(left.size); // it was killed on the way
  for (const [key, piece] of left) expect(all.get(key)).toBe(piece);
  expect((await runCorpus(store, RECIPE, { baseDirectory })).outputs).toEqual(alone.outputs);
});

test("a tree that is changed while parts read it is told, and what was read is forgotten", async () => {
  const folder = await temporaryDirectory();
  await writeTree(folder, { "tree/a.py": program("alpha"), "tree/b.py": program("beta") });
  const { directory: _, sha256: __, counts: ___, ...card } = tinyCard();
  await writeFile(join(folder, "tiny.yaml"), stringify(card));
  const recipe = { sources: [{ card: "tiny.yaml" }] };
  const undisturbed = await runCorpus(await emptyStore(), recipe, { baseDirectory: folder });
  const store = await emptyStore();
  const part = (await assign(store, { baseDirectory: folder, recipe }))(0, 1);
  await writeTree(folder, { "tree/b.py": program("gamma") });
  await doPart(store, part);
  await writeTree(folder, { "tree/b.py": program("beta") }); // as it was when the key was made
  await expect(runCorpus(store, recipe, { baseDirectory: folder })).rejects.toMatchObject({ code: "SourceChanged", retryable: true, details: { card: "tiny" } });
  expect((await runCorpus(store, recipe, { baseDirectory: folder })).outputs).toEqual(undisturbed.outputs);
});

test("how many parts there are is no part of the key, and 1 unless told otherwise", async () => {
  const resolved = await Promise.all([{}, { partitions: 3 }].map((execution) => resolveStage(corpusStage, { recipe: RECIPE, execution, inputs: {}, seed: 1, baseDirectory }, "fp32")));
  expect(resolved[0]!.key).toBe(resolved[1]!.key);
  expect(resolved.map(({ request }) => corpusStage.parts!.count(request.execution as never))).toEqual([1, 3]);
  await expect(runCorpus(await emptyStore(), RECIPE, { baseDirectory, execution: { partitions: 0 } })).rejects.toMatchObject({ code: "InvalidRecipe" });
});
