// The corpus stage with all that a recipe can ask for, on small tables.
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DOCUMENTS_FILE, docIdOf, openShards, readDocuments } from "@diffucoder/formats";
import { sha256, type ArtifactRef, type Store } from "@diffucoder/lineage";
import { Tokenizer } from "@diffucoder/tokenizer";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { readTable, type Row } from "../src/attribute-table.ts";
import { explainDocument } from "../src/index.ts";
import { boundedSignals } from "../src/quality/thresholds.ts";
import type { CorpusReport } from "../src/report/build-report.ts";
import { emptyStore, runCorpus, runTokenize } from "./run-stages.ts";
import { addTable, program, tableCorpus, type TableRow } from "./table-corpus.ts";
import { tinyCard } from "./tiny-card.ts";
import { temporaryDirectory, writeTree } from "./temporary-directory.ts";

async function build(rows: readonly TableRow[], recipe: object = {}, changes: Parameters<typeof tableCorpus>[1] = {}) {
  const { baseDirectory, source } = await tableCorpus(rows, changes);
  const store = await emptyStore();
  const { outputs, summary } = await runCorpus(store, { sources: [source], ...recipe }, { baseDirectory });
  return open(store, outputs.documents!, summary);
}

async function open(store: Store, ref: ArtifactRef, summary: object) {
  const file = (path: string) => store.artifacts.file(ref, path);
  const lines = (await readFile(await file("drops.jsonl"), "utf8")).split("\n").filter((line) => line !== "");
  return {
    store,
    ref,
    summary,
    rows: await Array.fromAsync(readDocuments(await file(DOCUMENTS_FILE))),
    drops: lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    report: JSON.parse(await readFile(await file("report.json"), "utf8")) as CorpusReport,
    page: await readFile(await file("report.md"), "utf8"),
    table: async (name: string): Promise<Row[]> => Array.fromAsync(readTable(await file(`attributes/${name}.parquet`))),
    names: (await store.artifacts.manifest(ref)).files.map(({ path }) => path),
  };
}

const ALPHA = { content: program("alpha"), path: "alpha.py" };
const BETA = { content: program("beta"), path: "beta.py" };

test("every run leaves its documents, drops, report and the tables of the stages that it asked for", async () => {
  expect((await build([ALPHA])).names).toEqual(["attributes/exact-duplicates.parquet", "attributes/files.parquet", "attributes/language.parquet", "attributes/verdicts.parquet", "documents.parquet", "drops.jsonl", "report.json", "report.md"]);
  const { names } = await build([ALPHA], { preset: "stack-v2-like" });
  expect(names).toEqual(expect.arrayContaining(["licence", "near-duplicates", "quality", "personal-data"].map((name) => `attributes/${name}.parquet`)) as string[]);
});

test("languages are told for every document, and those not asked for are dropped", async () => {
  const rows = [ALPHA, { content: "fn main() {}\n", path: "a.rs" }, { content: "int main(void) {}\n", path: "a.c" }];
  expect((await build(rows)).rows.map(({ language }) => language)).toEqual(["python", "rust", "c"]);
  const { rows: kept, drops, report } = await build(rows, { languages: ["python", "c"] });
  expect(kept.map(({ path }) => path)).toEqual(["alpha.py", "a.c"]);
  expect(drops).toEqual([{ source: "tiny", path: "a.rs", reason: "language", of: "rust" }]);
  expect(report.byLanguage.rust).toMatchObject({ all: { files: 1 }, kept: { files: 0 } });
});

test("a licence comes from the file's header, the nearest licence file of its repository, or the claim, and what is not allowed goes", async () => {
  const mit = "Permission is hereby granted, free of charge, to any person obtaining a copy. The above copyright notice and this permission notice shall be included.";
  const gpl = "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007";
  const rows = [
    { ...ALPHA, path: "a/header.py", content: `# SPDX-License-Identifier: GPL-3.0-only\n${ALPHA.content}`, license: "MIT", repo: "r" },
    { ...ALPHA, path: "a/nearest.py", repo: "r" },
    { content: mit, path: "a/LICENSE", repo: "r" },
    { content: gpl, path: "LICENSE.txt", repo: "r" },
    { ...BETA, path: "b/root.py", repo: "r" },
    { content: program("gamma"), path: "b/other.py", repo: "s", license: "MIT OR GPL-2.0-only" },
    { content: program("delta"), path: "b/none.py", repo: "s" },
    { content: program("copied"), path: "one.py", repo: "t", license: "MIT" },
    { content: program("copied"), path: "two.py", repo: "u", license: "GPL-3.0-only" },
  ];
  const policy = { licences: { allow: ["permissive"] } };
  const { rows: kept, drops, table } = await build(rows, policy, { include: ["**/*.py"] });
  expect((await table("licence")).map(({ license, found_in }) => [license, found_in])).toEqual([
    ["GPL-3.0-only", "header"],
    ["MIT", "a/LICENSE"],
    ["GPL-3.0-only", "LICENSE.txt"],
    ["MIT OR GPL-2.0-only", "claim"],
    ["LicenseRef-unknown", "claim"],
    ["(MIT) AND (GPL-3.0-only)", "claim"], // a copy of what is not free is not free
  ]);
  expect(kept.map(({ path, license }) => [path, license])).toEqual([["a/nearest.py", "MIT"], ["b/other.py", "MIT OR GPL-2.0-only"]]);
  expect(drops.filter(({ reason }) => reason === "licence").map(({ path, rule, of }) => [path, rule, of])).toEqual([
    ["a/header.py", "not-allowed", "GPL-3.0-only"],
    ["b/root.py", "not-allowed", "GPL-3.0-only"],
    ["b/none.py", "unknown", "LicenseRef-unknown"],
    ["one.py", "not-allowed", "(MIT) AND (GPL-3.0-only)"],
  ]);
  const lenient = await build(rows, { licences: { allow: ["permissive"], unknown: "keep" } }, { include: ["**/*.py"] });
  expect(lenient.rows.map(({ path }) => path)).toContain("b/none.py");
});

test("of equal files the first stands for all, or the one with most stars, then the newest", async () => {
  const rows = [
    { ...ALPHA, path: "one.py", stars: 5, at: "2024-01-01" },
    { ...ALPHA, path: "two.py", stars: 9, at: "2024-01-01", content: `${ALPHA.content}\r\n` },
    { ...ALPHA, path: "three.py", stars: 9, at: "2024-02-01" },
    { ...ALPHA, path: "four.py" },
  ];
  const standing = async (keeper: string) => {
    const { rows: kept, drops, table } = await build(rows, { keeper });
    expect(drops.map(({ reason, of }) => [reason, of])).toEqual(Array.from({ length: 3 }, () => ["exact-duplicate", docIdOf(ALPHA.content)]));
    expect((await table("exact-duplicates")).map(({ copies }) => copies)).toEqual([4]);
    return kept.map(({ path }) => path);
  };
  expect(await standing("first")).toEqual(["one.py"]);
  expect(await standing("most-stars")).toEqual(["three.py"]);
});

/** Neighbours are about 0.8 alike, those two apart less. */
const CHAIN = [0, 1, 2].map((start) => ({ path: `${start}.py`, content: Array.from({ length: 60 }, (_, i) => `word${start * 6 + i}`).join(" "), repo: `r${start}`, stars: start === 1 ? 9 : 1 }));

test("near-duplicates: a star drops the neighbours of what stays, components all that hangs together; stars choose what stays", async () => {
  const kept = async (recipe: object) => (await build(CHAIN, { nearDuplicates: { threshold: 0.7 }, ...recipe })).rows.map(({ path }) => path);
  expect(await kept({})).toEqual(["0.py", "2.py"]);
  expect(await kept({ clusters: "components" })).toEqual(["0.py"]);
  expect(await kept({ keeper: "most-stars" })).toEqual(["1.py"]);
});

test("the table of near-duplicates holds every pair that was compared, so that a threshold may move without it", async () => {
  const { table, drops, report } = await build(CHAIN, { nearDuplicates: { threshold: 0.9 } });
  expect((await table("near-duplicates")).map(({ similarity }) => similarity as number >= 0.7)).toEqual(expect.arrayContaining([true, true]) as boolean[]);
  expect(drops).toEqual([]);
  const [sweep] = report.sweeps;
  expect(sweep).toMatchObject({ rule: "similarity", bound: "most" });
  expect(sweep!.curve.find(({ at }) => at === 0.75)!.drops).toBe(2);
  expect(sweep!.curve.find(({ at }) => at === 0.9)!.drops).toBe(0);
});

test("what an earlier stage drops stands for nothing: its near-duplicate stays", async () => {
  const rows = [{ ...CHAIN[0]!, license: "GPL-3.0-only" }, { ...CHAIN[1]!, license: "MIT" }];
  const { rows: kept } = await build(rows, { nearDuplicates: { threshold: 0.7 }, licences: { allow: ["MIT"] } });
  expect(kept.map(({ path }) => path)).toEqual(["1.py"]);
});

test("quality rules drop by value against bound; all rules that fired are in the table, the first is the reason", async () => {
  const rows = [ALPHA, { content: "import a\nimport b\n", path: "imports.py" }];
  const { rows: kept, drops, table, report, page } = await build(rows, { quality: { thresholds: "refinecode" } });
  expect(kept.map(({ path }) => path)).toEqual(["alpha.py"]);
  expect(drops).toEqual([{ source: "tiny", path: "imports.py", reason: "quality", rule: "num_words", value: 4, least: 30 }]);
  expect(page).toContain("\n**quality num_words**\n\n- `imports.py` of tiny: 4, at least 30\n");
  const verdicts = await table("verdicts");
  expect(verdicts.map(({ rule }) => rule)).toEqual(expect.arrayContaining(["num_words", "num_lines", "cate_var_zero", "frac_lines_import"]) as string[]);
  expect(verdicts.filter(({ is_decisive }) => is_decisive === 1).map(({ rule }) => rule)).toEqual(["num_words"]);
  const words = report.sweeps.find(({ rule, bound }) => rule === "num_words" && bound === "least")!;
  expect(words.curve.map(({ at, drops: found }) => [at, found])).toEqual([[0.25, 1], [0.5, 1], [0.75, 1], [0.9, 1], [1, 1], [1.1, 1], [1.25, 1], [1.5, 1], [2, 1], [4, words.curve.at(-1)!.drops]]);
  const loose = await build(rows, { quality: { thresholds: "refinecode", changes: Object.fromEntries(verdicts.map(({ rule }) => [rule as string, {}])) } });
  expect(loose.drops).toEqual([]);
});

test("a rule that drops a share of what breaks it draws for each document, the same on every run", async () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({ path: `${i}.py`, content: `x${i} = 1\n${Array.from({ length: 12 }, (_, j) => `class Name${i}x${j}(base_${i}_${j}):\n    value = some_${j}`).join("\n")}\n` }));
  const others = [...boundedSignals()].filter((signal) => signal !== "score_lines_no_logic");
  const only = { quality: { thresholds: "refinecode", changes: Object.fromEntries(others.map((signal) => [signal, {}])) } };
  const names = async (seed: number) => {
    const { baseDirectory, source } = await tableCorpus(rows);
    const store = await emptyStore();
    const { outputs, summary } = await runCorpus(store, { sources: [source], ...only }, { baseDirectory, seed });
    return (await open(store, outputs.documents!, summary)).drops.map(({ path, rule }) => `${path as string} ${rule as string}`);
  };
  const dropped = await names(1);
  expect(dropped.every((name) => name.endsWith(" score_lines_no_logic"))).toBe(true);
  expect(dropped.length).toBeGreaterThan(20);
  expect(dropped.length).toBeLessThan(40);
  expect(await names(1)).toEqual(dropped);
  expect(await names(2)).not.toEqual(dropped);
});

test("secrets that were planted are in no document and no shard; the document keeps the id of what was fetched", async () => {
  const secrets = ["ada.lovelace@cam.ac.uk", `ghp_${"a8Fk2LxQ9zRt5VwB7mNc3HyJ6sDgP4eUx2Qw"}`, "93.184.216.34"];
  const content = `${ALPHA.content}${secrets.map((secret) => `# ${secret}\n`).join("")}`;
  const { rows, store, ref, table, summary } = await build([{ ...ALPHA, content }, BETA], { personalData: "redact", validationShare: 0.01 });
  expect(rows[0]!.text).toBe(`${ALPHA.content}# <EMAIL>\n# <KEY>\n# <IP_ADDRESS>\n`);
  expect(rows[0]!.docId).toBe(docIdOf(content));
  expect(summary).toMatchObject({ personalData: { "email email": 1, "ip-address ipv4": 1, "key github": 1 } });
  const stored = JSON.stringify(await table("personal-data")) + JSON.stringify(rows);
  const { outputs } = await runTokenize(store, { vocabSize: 300 }, { documents: ref });
  const tokenizer = Tokenizer.fromJson(await readFile(await store.artifacts.file(outputs.shards!, "tokenizer.json"), "utf8"));
  const shards = await openShards((path) => store.artifacts.file(outputs.shards!, `train/${path}`));
  const text = tokenizer.decode(shards.readTokens(0, shards.tokenCount));
  await shards.close();
  expect(text).toContain("<EMAIL>");
  for (const secret of secrets) expect(stored + text).not.toContain(secret);
  const counted = await build([{ ...ALPHA, content }], { personalData: "count" });
  expect(counted.rows[0]!.text).toBe(content);
});

test("copyright headers are stripped, with the personal data in them; what is licensed under what is still known", async () => {
  const header = "# Copyright 2020 Ada (ada.lovelace@cam.ac.uk)\n# SPDX-License-Identifier: MIT\n\n";
  const content = `${header}${ALPHA.content}# ada.lovelace@cam.ac.uk\n`;
  const recipe = { personalData: "redact", licences: { allow: ["permissive"], unknown: "keep" } };
  const { rows, table, summary } = await build([{ ...ALPHA, content }, BETA], { ...recipe, copyrightHeaders: "strip" });
  expect(rows[0]!.text).toBe(`${ALPHA.content}# <EMAIL>\n`);
  expect(rows[1]!.text).toBe(BETA.content);
  expect(rows[0]).toMatchObject({ docId: docIdOf(content), license: "MIT" });
  expect(await table("copyright-headers")).toEqual([{ doc_id: docIdOf(content), start: 0, end: header.length }]);
  expect(summary).toMatchObject({ copyrightHeaders: 1 });
  const counted = await build([{ ...ALPHA, content }], { copyrightHeaders: "count" });
  expect(counted.rows[0]!.text).toBe(content);
  expect(counted.summary).toMatchObject({ copyrightHeaders: 1 });
});

test("decontamination names item and rule, finds what was planted, and drops entry points where asked", async () => {
  const item = { task_id: "H/0", prompt: 'def has_close_elements(xs, limit):\n    """Check if in the given list any two numbers are closer than the threshold."""\n', canonical_solution: "    return True\n" };
  const rows = [ALPHA, { content: `${BETA.content}# check if in the given list any two numbers are closer than that\n`, path: "run.py" }, { content: `${program("gamma")}\ndef has_close_elements(x):\n    return x\n`, path: "name.py" }];
  const { baseDirectory, source } = await tableCorpus(rows);
  await writeTree(baseDirectory, { "b.jsonl": JSON.stringify(item) });
  const benchmarks = [{ kind: "file", path: "b.jsonl", sha256: sha256(JSON.stringify(item)) }];
  const run = async (decontamination: object) => {
    const store = await emptyStore();
    const { outputs, summary } = await runCorpus(store, { sources: [source], decontamination: { benchmarks, ...decontamination } }, { baseDirectory });
    return open(store, outputs.documents!, summary);
  };
  const plain = await run({});
  expect(plain.drops).toEqual([{ source: "tiny", path: "run.py", reason: "contaminated", rule: "run", of: "H/0" }]);
  expect(plain.report.decontamination).toEqual({ items: 1, tooShort: 0, planted: 1, foundInClear: 1, foundRenamed: 1, documentsByItem: { "H/0 entry-point": 1, "H/0 run": 1 } });
  expect(plain.page).toContain("Planted in a text of its own, 1 of 1 are found in clear");
  expect((await plain.table("contamination")).map(({ match }) => match)).toEqual(["check if in the given list any two numbers are", "has_close_elements"]);
  expect((await run({ entryPoints: true })).drops.map(({ path, rule }) => [path, rule])).toEqual([["run.py", "run"], ["name.py", "entry-point"]]);
});

test("a stage that drops more than the card allows stops the run; a waiver of that very loss lets it pass and is told", async () => {
  const rows = [ALPHA, BETA, { content: "x\n", path: "a.rs" }];
  const recipe = { languages: ["python"] };
  const changes = { largestLoss: { language: 0.3 } };
  const alarm = { code: "LossAlarm", details: { card: "tiny", subject: "losses at language", expected: "at most 0.3 of the files", found: "1 of 3" } };
  await expect(build(rows, recipe, changes)).rejects.toMatchObject(alarm);
  expect((await build(rows, recipe, { largestLoss: { language: 0.34 } })).drops).toHaveLength(1);
  const waiver = { card: "tiny", subject: "losses at language", found: "1 of 3", reason: "Rust is not wanted" };
  const { report, summary, page } = await build(rows, { ...recipe, waivers: [waiver] }, changes);
  expect(report.waivers).toEqual([{ ...waiver, expected: "at most 0.3 of the files" }]);
  expect(summary).toMatchObject({ waivers: [waiver] });
  expect(page).toContain("Rust is not wanted");
  await expect(build([...rows, { content: "y\n", path: "b.rs" }], { ...recipe, waivers: [waiver] }, changes)).rejects.toMatchObject({ code: "LossAlarm" });
});

test("where a card says nothing, more than three fifths of a hundred files may not go", async () => {
  const rows = (python: number) => Array.from({ length: 100 }, (_, i) => ({ content: `x = ${i}\n`, path: i < python ? `${i}.py` : `${i}.rs` }));
  expect((await build(rows(40), { languages: ["python"] })).drops).toHaveLength(60);
  await expect(build(rows(39), { languages: ["python"] })).rejects.toMatchObject({ code: "LossAlarm", details: { found: "61 of 100" } });
  expect((await build(rows(39).slice(1), { languages: ["python"] })).drops).toHaveLength(61);
});

test("drift of a card's counts is waived as it was found, and is in the stage key with its reason", async () => {
  const changes = { counts: { files: 2, bytes: 10 }, origin: { kind: "tree" as const, path: "tree", license: "MIT" }, include: ["**/*.py"] };
  const baseDirectory = await temporaryDirectory();
  await writeTree(baseDirectory, { "tree/a.py": "x = 1\n" });
  const { directory: _, sha256: __, ...card } = tinyCard(changes);
  await writeFile(join(baseDirectory, "tiny.yaml"), stringify(card));
  const run = async (waivers: object[]) => runCorpus(await emptyStore(), { sources: [{ card: "tiny.yaml" }], waivers }, { baseDirectory });
  await expect(run([])).rejects.toMatchObject({ code: "SourceDrift" });
  const waiver = { card: "tiny", subject: "included files", found: "1 files of 6 bytes", reason: "b.py is gone upstream" };
  expect((await run([waiver])).summary).toMatchObject({ documents: 1, waivers: [{ ...waiver, expected: "2 files of 10 bytes" }] });
  await expect(run([{ ...waiver, reason: " " }])).rejects.toMatchObject({ code: "InvalidRecipe" });
  await writeTree(baseDirectory, { "tree/a.py": "x = 11\n" });
  await expect(run([waiver])).rejects.toMatchObject({ code: "SourceDrift", details: { found: "1 files of 7 bytes" } });
});

test("bad files of every kind are counted by reason, and the rest becomes documents", async () => {
  const { baseDirectory } = await tableCorpus([]);
  await addTable(baseDirectory, "bad", [ALPHA, { ...ALPHA, path: "large.py", content: "x".repeat(2000) }, { ...BETA, path: "alpha.py" }, { content: "a\0b", path: "binary.py" }, { content: " \n", path: "empty.py" }], { largestFileBytes: 1500 });
  await writeFile(join(baseDirectory, "bad.jsonl"), `${await readFile(join(baseDirectory, "bad.jsonl"), "utf8")}{"content": 1}\n{oops\n${JSON.stringify({ content: "y".repeat(1 << 17), path: "huge.py" })}\n`);
  const store = await emptyStore();
  const { outputs, summary } = await runCorpus(store, { sources: [{ card: "bad.yaml" }] }, { baseDirectory });
  expect(summary).toMatchObject({ filesRead: 8, documents: 1, dropped: { "too-large": 2, "duplicate-path": 1, binary: 1, empty: 1, "malformed-row": 2 } });
  const { report, drops } = await open(store, outputs.documents!, summary);
  expect(drops.find(({ reason }) => reason === "malformed-row")).toEqual({ source: "bad", path: "bad.jsonl#6", reason: "malformed-row" });
  expect(report.stages[0]).toMatchObject({ stage: "decode", entered: { files: 8 }, dropped: { binary: { files: 1, bytes: 3 } } });
  expect(report.examples.binary).toEqual([{ source: "bad", path: "binary.py", reason: "binary" }]);
});

test("each stage's count goes in where the one before left off, in all and by source", async () => {
  const { report, page } = await build([ALPHA, ALPHA, { ...ALPHA, path: "again.py" }, { content: "x\n", path: "a.rs" }], { preset: "refinecode", languages: ["python"] });
  const amounts = (stages: CorpusReport["stages"]) => stages.map(({ stage, entered, dropped }) => `${stage} ${entered.files} ${Object.values(dropped).reduce((sum, { files }) => sum + files, 0)}`);
  expect(amounts(report.stages)).toEqual(["decode 4 1", "exact-duplicates 3 1", "language 2 1", "licence 1 0", "contamination 1 0", "near-duplicates 1 0", "quality 1 0", "personal-data 1 0", "copyright-headers 1 0"]);
  expect(amounts(report.bySource.tiny!.stages)).toEqual(amounts(report.stages));
  expect([report.files.files, report.kept.files]).toEqual([4, 1]);
  expect(page).toContain("| exact-duplicates | 3 | exact-duplicate | 1 | 33.33 % |");
});

test("a piece is made once and used again while code, settings and documents are the same; a damaged one is made anew", async () => {
  const { baseDirectory, source } = await tableCorpus([ALPHA, BETA]);
  const store = await emptyStore();
  const folder = join(store.root, "pieces");
  const run = async (recipe: object, seed = 1) => {
    const { outputs } = await runCorpus(store, { sources: [source], ...recipe }, { baseDirectory, seed });
    return { digest: outputs.documents!.digest, pieces: (await readdir(folder)).sort() };
  };
  const first = await run({ quality: { thresholds: "refinecode" } });
  expect(first.pieces).toHaveLength(4); // the files, exact duplicates, language, quality
  const stricter = await run({ quality: { thresholds: "refinecode", changes: { num_words: { least: 31 } } } });
  expect(stricter.pieces).toEqual(first.pieces); // another threshold, no other table
  const more = await run({ quality: { thresholds: "refinecode" }, personalData: "redact" });
  expect(more.pieces).toHaveLength(5);
  const before = await run({ quality: { thresholds: "refinecode" } }, 2);
  for (const piece of first.pieces) {
    const { files } = JSON.parse(await readFile(join(folder, piece, "piece.json"), "utf8")) as { files: Record<string, { sha256: string }> };
    for (const { sha256: digest } of Object.values(files)) await writeFile((await store.blobs.locate(digest))!, "damaged");
  }
  await rm(join(store.root, "records"), { recursive: true });
  expect(await run({ quality: { thresholds: "refinecode" } }, 2)).toEqual({ ...before, pieces: more.pieces });
});

test("why: a dropped file, its rule with value and bound, its equals and its likes", async () => {
  const short = { content: "import a\nimport b\n", path: "pkg/imports.py", repo: "o/r" };
  const { store, ref } = await build([ALPHA, ...CHAIN, short, { ...short, path: "copy.py" }], { quality: { thresholds: "refinecode" }, nearDuplicates: { threshold: 0.7 } });
  const why = await explainDocument(store, ref, "imports.py");
  expect(why).toMatchObject({
    kind: "document",
    docId: docIdOf(short.content),
    files: [{ source: "tiny", path: "pkg/imports.py", repository: "o/r" }, { path: "copy.py" }],
    isKept: false,
    language: "python",
    licence: "LicenseRef-unknown",
    alike: [],
    tokens: [],
  });
  if (why.kind !== "document") throw new TypeError(why.kind);
  expect(why.fired[0]).toEqual({ stage: "quality", reason: "quality", rule: "num_words", value: 4, least: 30, isDecisive: true });
  expect(why.fired.slice(1).every(({ isDecisive }) => !isDecisive)).toBe(true);
  expect(why.margins[0]!.closeness).toBeGreaterThan(1);
  const like = await explainDocument(store, ref, docIdOf(`${CHAIN[1]!.content}\n`).slice(0, 8));
  if (like.kind !== "document") throw new TypeError(like.kind);
  expect(like.fired[0]).toMatchObject({ stage: "near-duplicates", reason: "near-duplicate", most: 0.7, of: docIdOf(`${CHAIN[0]!.content}\n`), isDecisive: true });
  expect(like.alike.map(({ path }) => path).sort()).toEqual(["0.py", "2.py"]);
});

test("why: where the tokens of a kept document went, and who read them", async () => {
  const { store, ref } = await build([ALPHA, BETA], { validationShare: 0.01 });
  const { outputs } = await runTokenize(store, { vocabSize: 300, mixture: { tiny: 2 } }, { documents: ref });
  const why = await explainDocument(store, ref, "alpha.py");
  expect(why).toMatchObject({ isKept: true, fired: [], tokens: [{ shards: outputs.shards!.digest, split: "train", times: 2, readBy: [] }] });
  if (why.kind === "document") expect(why.tokens[0]!.tokens).toBeGreaterThan(100);
});

test("why: a path of several texts lists them with their fates; one that was not read says why; one that is not there is an error", async () => {
  const rows = [{ ...ALPHA, path: "a/x.py" }, { content: "import a\n", path: "b/x.py" }, { content: "a\0", path: "c/y.py" }];
  const { store, ref } = await build(rows, { quality: { thresholds: "refinecode" } });
  expect(await explainDocument(store, ref, "x.py")).toMatchObject({
    kind: "several",
    documents: [{ file: { path: "a/x.py" }, droppedBy: null }, { file: { path: "b/x.py" }, droppedBy: "quality num_words" }],
  });
  expect(await explainDocument(store, ref, "y.py")).toEqual({ kind: "unread", file: { source: "tiny", path: "c/y.py", reason: "binary" } });
  await expect(explainDocument(store, ref, "z.py")).rejects.toMatchObject({ code: "DocumentUnknown" });
  await expect(explainDocument(store, ref, ".py")).rejects.toMatchObject({ code: "DocumentUnknown" }); // the end of a path begins after a slash
});

test("files of a repository lie side by side by path where packing asks for it, where its first one stood", async () => {
  const at = (repo: string | undefined, path: string) => ({ content: program(path.replaceAll(/\W/g, "")), path, ...(repo === undefined ? {} : { repo }) });
  const { store, ref } = await build([at("r", "z.py"), at(undefined, "n.py"), at("s", "b.py"), at("r", "a.py"), at("s", "a2.py")], { validationShare: 0.001 });
  const pathOf = new Map((await Array.fromAsync(readDocuments(await store.artifacts.file(ref, DOCUMENTS_FILE)))).map(({ docId, path }) => [docId, path]));
  const order = async (packing: string) => {
    const { outputs } = await runTokenize(store, { vocabSize: 300, packing }, { documents: ref });
    const shards = await openShards((path) => store.artifacts.file(outputs.shards!, `train/${path}`));
    const paths = shards.docIds.map((docId) => pathOf.get(docId));
    await shards.close();
    return paths;
  };
  expect(await order("document")).toEqual(["z.py", "n.py", "b.py", "a.py", "a2.py"]);
  expect(await order("repository")).toEqual(["a.py", "z.py", "n.py", "a2.py", "b.py"]);
});
