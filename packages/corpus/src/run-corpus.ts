import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { writeDocuments } from "@diffucoder/formats";
import { InvalidRecipe, StageCancelled, type JsonObject, type StageContext, type StageDefinition, type StageRequest, type StageResult } from "@diffucoder/lineage";
import { benchmarkIdentity, readBenchmark } from "./benchmarks.ts";
import { DocumentBuilder } from "./build-documents.ts";
import { corpusExecutionSchema, corpusRecipeSchema, type CorpusRecipe } from "./config.ts";
import { ContaminationIndex } from "./contamination.ts";
import { readDataCard } from "./data-card.ts";
import { EmptyCorpus } from "./errors.ts";
import { identityOf, readSource } from "./read-source.ts";

/** Files of the sources that cards name, as documents: clean, without duplicates, apart from benchmarks, split once. */
export const corpusStage: StageDefinition<CorpusRecipe, Record<string, never>> = {
  name: "corpus",
  packageName: "@diffucoder/corpus",
  entry: import.meta.filename,
  resource: "cpu",
  inputs: {},
  outputs: { documents: "documents" },
  recipeSchema: corpusRecipeSchema,
  executionSchema: corpusExecutionSchema,
  sources: identifySources,
  run: runCorpus,
};

async function identifySources(recipe: CorpusRecipe, baseDirectory: string): Promise<Record<string, string>> {
  const identities: Record<string, string> = {};
  for (const { card } of recipe.sources) identities[card] = await identityOf(await readDataCard(resolve(baseDirectory, card)));
  for (const benchmark of recipe.decontamination?.benchmarks ?? []) {
    const name = benchmark.kind === "file" ? benchmark.path : benchmark.card;
    identities[`benchmark ${name}`] = await benchmarkIdentity(benchmark, baseDirectory);
  }
  return identities;
}

async function runCorpus({ recipe, seed, baseDirectory }: StageRequest<CorpusRecipe>, context: StageContext): Promise<StageResult> {
  const contamination = await indexBenchmarks(recipe, baseDirectory, context.scratchDir);
  const builder = new DocumentBuilder({ contamination, validationShare: recipe.validationShare, seed });
  const cardIds = new Set<string>();
  let filesRead = 0;
  for (const [index, { card: path }] of recipe.sources.entries()) {
    const card = await readDataCard(resolve(baseDirectory, path));
    if (cardIds.has(card.id)) throw new InvalidRecipe("stage corpus", [`sources: expected cards of different ids, found ${card.id} again at ${path}`]);
    cardIds.add(card.id);
    context.report({ step: index, totalSteps: recipe.sources.length, unit: "sources", note: `reading ${card.id}` });
    for (const file of await readSource(card)) {
      builder.add(card, file);
      if (filesRead++ % FILES_PER_BREATH !== 0) continue;
      if (context.signal.aborted) throw new StageCancelled("corpus");
      context.report({ step: index, totalSteps: recipe.sources.length, unit: "sources", note: `${card.id}: ${filesRead} files` });
      await setImmediate();
    }
  }
  const { rows, drops } = builder;
  if (rows.length === 0) throw new EmptyCorpus(countBy(drops, ({ reason }) => reason));
  const directory = join(context.scratchDir, "documents");
  await mkdir(directory);
  await writeDocuments(directory, rows);
  await writeFile(join(directory, "drops.jsonl"), drops.map((drop) => `${JSON.stringify(drop)}\n`).join(""));
  const summary = summarize(builder, contamination, filesRead);
  return { outputs: { documents: { kind: "documents", directory, meta: summary } }, summary };
}

const FILES_PER_BREATH = 64;

async function indexBenchmarks({ decontamination }: CorpusRecipe, baseDirectory: string, scratchDir: string): Promise<ContaminationIndex> {
  const items = [];
  for (const benchmark of decontamination?.benchmarks ?? []) items.push(...(await readBenchmark(benchmark, baseDirectory, scratchDir)));
  return new ContaminationIndex(items, decontamination?.words);
}

function summarize({ rows, drops }: DocumentBuilder, { itemCount, tooShort }: ContaminationIndex, filesRead: number): JsonObject {
  return {
    filesRead,
    documents: rows.length,
    bytes: rows.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0),
    bySplit: countBy(rows, ({ split }) => split),
    bySource: countBy(rows, ({ source }) => source),
    dropped: countBy(drops, ({ reason }) => reason),
    droppedBySource: countBy(drops, ({ source, reason }) => `${source} ${reason}`),
    benchmarkItems: { searched: itemCount - tooShort.length, tooShort: tooShort.length },
  };
}

function countBy<T>(values: readonly T[], nameOf: (value: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[nameOf(value)] = (counts[nameOf(value)] ?? 0) + 1;
  return counts;
}
