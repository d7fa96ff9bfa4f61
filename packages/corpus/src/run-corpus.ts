import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import { writeDocuments, type DocumentRow } from "@diffucoder/formats";
import {
  InvalidRecipe,
  StageCancelled,
  type JsonObject,
  type Part,
  type PartContext,
  type StageContext,
  type StageDefinition,
  type StageRequest,
  type StageResult,
} from "@diffucoder/lineage";
import { readTable, tablePath } from "./attribute-table.ts";
import { benchmarkIdentity, readBenchmark } from "./benchmarks.ts";
import { corpusExecutionSchema, corpusRecipeSchema, type CorpusExecution, type CorpusRecipe } from "./config.ts";
import type { BenchmarkItem } from "./contamination.ts";
import { readDataCard, type DataCard } from "./data-card.ts";
import { DocumentPool } from "./document-pool.ts";
import { EmptyCorpus, SourceChanged } from "./errors.ts";
import { INNER_STAGES } from "./inner-stages.ts";
import { judgeDocuments } from "./judge-documents.ts";
import { measureSlice, measureTable, type Measuring } from "./measure-tables.ts";
import { policyOf, type Policy } from "./policy.ts";
import { GRAMMARS } from "./quality/syntax.ts";
import { buildReport, type CorpusReport } from "./report/build-report.ts";
import { CorpusFlow, type Account } from "./report/corpus-flow.ts";
import { checkLosses } from "./report/loss-alarm.ts";
import { renderReport } from "./report/render-report.ts";
import { keptDocuments, writeDrops } from "./select-documents.ts";
import { readSlice, type ReadSlice } from "./sources/read-slice.ts";
import { SourceTotals, identityOf, slicesOf } from "./sources/read-source.ts";
import { CardCheck } from "./waivers.ts";

/**
 * Files of the sources that cards name, as documents: clean, without duplicates, apart from benchmarks, split once.
 *
 *     sources ─> slices ─> pool of distinct texts ─> one table a stage ─> verdicts ─> documents, drops, report
 *
 * Slices are read, and measured by the stages that look at a document alone, one by one: each is a piece that any process
 * may make. All that has to see the whole is done by `runCorpus`, from the pieces and in the order of the sources.
 */
export const corpusStage: StageDefinition<CorpusRecipe, CorpusExecution> = {
  name: "corpus",
  packageName: "@diffucoder/corpus",
  entry: import.meta.filename,
  assets: Object.values(GRAMMARS),
  resource: "cpu",
  inputs: {},
  outputs: { documents: "documents" },
  recipeSchema: corpusRecipeSchema,
  executionSchema: corpusExecutionSchema,
  sources: identifySources,
  run: runCorpus,
  parts: { count: ({ partitions }) => partitions, run: runPart },
};

async function identifySources(recipe: CorpusRecipe, baseDirectory: string): Promise<Record<string, string>> {
  const identities: Record<string, string> = {};
  const check = new CardCheck(recipe.waivers);
  for (const { card } of recipe.sources) identities[card] = await identityOf(await readDataCard(resolve(baseDirectory, card)), check);
  for (const benchmark of recipe.decontamination?.benchmarks ?? []) {
    const name = benchmark.kind === "file" ? benchmark.path : benchmark.card;
    identities[`benchmark ${name}`] = await benchmarkIdentity(benchmark, baseDirectory);
  }
  return identities;
}

type Request = StageRequest<CorpusRecipe, CorpusExecution>;

/** Reads and measures the slices that fall to a part: each in turn to the next one. */
async function runPart(request: Request, part: Part, context: PartContext): Promise<void> {
  const { cards, progress, measurings } = await prepare(request, context);
  let number = 0;
  for (const [index, card] of cards.entries()) {
    progress.begin(`reading ${card.id}`, index);
    for await (const slice of readSlices(card, undefined, { context, progress, isWanted: () => number++ % part.count === part.index })) {
      const pieces = [slice];
      for (const measuring of measurings) if (measuring.stage.scope === "document") pieces.push(await measureSlice(measuring, slice, `${card.id}: slice ${number}, ${measuring.stage.name}`));
      context.log(`slice ${number} (${card.id}): ${pieces.filter(({ isFound }) => !isFound).length} of ${pieces.length} pieces made`);
    }
  }
}

async function runCorpus(request: Request, context: StageContext): Promise<StageResult> {
  const { recipe, seed } = request;
  const { cards, policy, benchmarkItems, progress, measurings } = await prepare(request, context);
  const check = new CardCheck(recipe.waivers);
  const directory = join(context.scratchDir, "documents");
  const tables = join(directory, "attributes");
  await mkdir(tables, { recursive: true });
  const pool = await DocumentPool.create({ tables, keeper: policy.keeper, breathe: (visited, documents) => progress.breathe(`${visited} of ${documents} documents`) });
  try {
    await readAll(cards, check, pool, context, progress);
    for (const measuring of measurings) {
      progress.begin(measuring.stage.name);
      await measureTable(measuring, pool, tables);
    }
    progress.begin("judging");
    const stages = measurings.map(({ stage }) => stage);
    const verdicts = await judgeDocuments({ stages, policy, pool, tables, seed });
    const flow = new CorpusFlow(await languages(tables));
    const selection = { pool, tables, verdicts, flow };
    await writeDrops(join(directory, "drops.jsonl"), selection);
    if (flow.total.kept.files === 0) throw new EmptyCorpus(dropsByReason(flow));
    checkLosses(cards, flow, check);
    progress.begin("writing");
    const tally = new DocumentTally();
    const options = { seed, validationShare: recipe.validationShare, redacts: policy.personalData === "redact", strips: policy.copyrightHeaders === "strip", hasLicences: policy.licences !== undefined };
    await writeDocuments(directory, tally.counting(keptDocuments(selection, options)));
    const report = await buildReport({ flow, tables, policy, benchmarkItems, waivers: check.used });
    await writeFile(join(directory, "report.json"), `${JSON.stringify(report, null, 1)}\n`);
    await writeFile(join(directory, "report.md"), renderReport(report));
    const summary = summarize(report, flow, tally);
    return { outputs: { documents: { kind: "documents", directory, meta: summary } }, summary };
  } finally {
    pool.close();
  }
}

/** What a request asks for: its cards with their identities, the policy, and what each stage inside would do. */
async function prepare({ recipe, execution, baseDirectory }: Request, context: PartContext) {
  const cards = await readCards(recipe, baseDirectory, context.sources);
  const policy = policyOf(recipe, cards, execution.workers);
  const benchmarkItems = await readBenchmarks(policy, baseDirectory);
  const progress = new Progress(context, cards.length);
  const breathe = (note: string) => progress.breathe(note);
  const measurings: Measuring[] = [];
  for (const stage of INNER_STAGES) {
    const measurement = await stage.prepare(policy, { scratchDir: context.scratchDir, signal: context.signal, benchmarkItems });
    if (measurement !== undefined) measurings.push({ stage, measurement, keeper: policy.keeper, context, breathe });
  }
  return { cards, policy, benchmarkItems, progress, measurings };
}

/** A card, and what the stage key says of its source. */
type IdentifiedCard = DataCard & { readonly identity: string };

async function readCards({ sources }: CorpusRecipe, baseDirectory: string, identities: PartContext["sources"]): Promise<IdentifiedCard[]> {
  const cards: IdentifiedCard[] = [];
  for (const { card: path } of sources) {
    const card = await readDataCard(resolve(baseDirectory, path));
    if (cards.some(({ id }) => id === card.id)) throw new InvalidRecipe("stage corpus", [`sources: expected cards of different ids, found ${card.id} again at ${path}`]);
    cards.push({ ...card, identity: identities[path]! });
  }
  return cards;
}

async function readBenchmarks({ decontamination }: Policy, baseDirectory: string): Promise<BenchmarkItem[]> {
  const items: BenchmarkItem[] = [];
  for (const benchmark of decontamination?.benchmarks ?? []) items.push(...(await readBenchmark(benchmark, baseDirectory)));
  return items;
}

/** Reads every source into the pool and compares it with its card. */
async function readAll(cards: readonly IdentifiedCard[], check: CardCheck, pool: DocumentPool, context: PartContext, progress: Progress): Promise<void> {
  for (const [index, card] of cards.entries()) {
    progress.begin(`reading ${card.id}`, index);
    const [totals, found] = [new SourceTotals(), [] as string[]];
    let number = 0;
    for await (const slice of readSlices(card, check, { context, progress, isWanted: () => true })) {
      number++;
      if (slice.isFound) found.push(slice.key);
      await pool.add(card.id, slice, (record, isPlaceFree) => totals.add(record, isPlaceFree));
      await progress.breathe(`${card.id}: ${pool.files} files`);
    }
    context.log(`${card.id}: ${found.length} of ${number} slices found`);
    totals.check(card, check);
    if (card.origin.kind !== "tree" || totals.identity(card) === card.identity) continue;
    for (const key of found) await context.pieces.forget(key); // one of them is of another time
    throw new SourceChanged(card.id);
  }
  await pool.seal();
}

interface Reading {
  readonly context: PartContext;
  readonly progress: Progress;
  readonly isWanted: () => boolean;
}

async function* readSlices(card: IdentifiedCard, check: CardCheck | undefined, { context, progress, isWanted }: Reading): AsyncGenerator<ReadSlice> {
  let number = 0;
  for await (const entries of slicesOf(card, check)) {
    const slice = { card, source: card.identity, number: number++, entries, context };
    const breathe = () => progress.breathe(`${card.id}: slice ${number}`);
    if (isWanted()) yield await readSlice({ ...slice, breathe });
    else await breathe();
  }
}

/** Where the stage is, and its ear for a request to stop. */
class Progress {
  readonly #context: PartContext;
  readonly #sources: number;
  #step = 0;
  #doing = "";

  constructor(context: PartContext, sources: number) {
    this.#context = context;
    this.#sources = sources;
  }

  begin(note: string, step: number = this.#sources): void {
    this.#step = step;
    this.#doing = step < this.#sources ? "" : `${note}: `;
    this.#report(note);
  }

  async breathe(note: string): Promise<void> {
    if (this.#context.signal.aborted) throw new StageCancelled("corpus");
    this.#report(this.#doing + note);
    await setImmediate();
  }

  #report(note: string): void {
    this.#context.report({ step: this.#step, totalSteps: this.#sources, unit: "sources", note });
  }
}

/** Language of each document, by id. */
async function languages(tables: string): Promise<(docId: string) => string> {
  const found = new Map<string, string>();
  for await (const { doc_id, language } of readTable(tablePath(tables, "language"))) found.set(doc_id as string, language as string);
  return (docId) => found.get(docId)!;
}

/** Counts documents on their way into the file. */
class DocumentTally {
  documents = 0;
  bytes = 0;
  readonly bySplit: Record<string, number> = {};
  readonly bySource: Record<string, number> = {};

  async *counting(rows: AsyncIterable<DocumentRow>): AsyncGenerator<DocumentRow> {
    for await (const row of rows) {
      this.documents++;
      this.bytes += Buffer.byteLength(row.text);
      this.bySplit[row.split] = (this.bySplit[row.split] ?? 0) + 1;
      this.bySource[row.source] = (this.bySource[row.source] ?? 0) + 1;
      yield row;
    }
  }
}

function dropsByReason(flow: CorpusFlow, accounts: readonly (readonly [string, Account])[] = [["", flow.total]]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const [name, account] of accounts) {
    for (const { dropped } of account.stages()) {
      for (const [reason, { files }] of Object.entries(dropped)) {
        const key = name + reason.split(" ")[0];
        counts[key] = (counts[key] ?? 0) + files;
      }
    }
  }
  return counts;
}

function summarize({ files, personalData, copyrightHeaders, decontamination, waivers }: CorpusReport, flow: CorpusFlow, { documents, bytes, bySplit, bySource }: DocumentTally): JsonObject {
  const [items, tooShort] = [decontamination?.items ?? 0, decontamination?.tooShort ?? 0];
  return {
    filesRead: files.files,
    documents,
    bytes,
    bySplit,
    bySource,
    dropped: dropsByReason(flow),
    droppedBySource: dropsByReason(flow, [...flow.bySource].map(([name, account]) => [`${name} `, account] as const)),
    benchmarkItems: { searched: items - tooShort, tooShort },
    ...(Object.keys(personalData).length === 0 ? {} : { personalData: { ...personalData } }),
    ...(copyrightHeaders === null ? {} : { copyrightHeaders }),
    ...(waivers.length === 0 ? {} : { waivers: waivers.map((waiver) => ({ ...waiver })) }),
  };
}
