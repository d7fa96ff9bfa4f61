import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { DOCUMENTS_FILE, countDocuments, readDocuments, writeShards, type Split, type TokenDocument } from "@diffucoder/formats";
import {
  InvalidRecipe,
  StageCancelled,
  sha256,
  type ArtifactRef,
  type ArtifactStore,
  type StageContext,
  type StageDefinition,
  type StageRequest,
  type StageResult,
} from "@diffucoder/lineage";
import { stream } from "@diffucoder/random";
import { SPECIAL_TOKENS, Tokenizer, trainTokenizer } from "@diffucoder/tokenizer";
import { readTable, tablePath } from "./attribute-table.ts";
import { tokenizeExecutionSchema, tokenizeRecipeSchema, type TokenizeRecipe } from "./config.ts";
import { FILES_TABLE } from "./document-pool.ts";
import { packByRepository } from "./pack-repositories.ts";
import { planBudget, withRealised } from "./token-budget.ts";
import { TokenSpill } from "./token-spill.ts";

/**
 * Documents as token shards, train and validation apart, each document closed by `<|endoftext|>`. The tokenizer is
 * learned here, or taken from other shards or from a checkpoint, so that later mixtures fit the same model.
 *
 *     documents ─> census ─> vocabulary ─> spilled tokens ─> order, times ─> shards
 */
export const tokenizeStage: StageDefinition<TokenizeRecipe, Record<string, never>> = {
  name: "tokenize",
  packageName: "@diffucoder/corpus",
  entry: import.meta.filename,
  resource: "cpu",
  inputs: { documents: { kind: "documents" }, tokenizer: { kind: "shards", optional: true }, checkpoint: { kind: "checkpoint", optional: true } },
  outputs: { shards: "shards" },
  recipeSchema: tokenizeRecipeSchema,
  executionSchema: tokenizeExecutionSchema,
  plan: ({ vocabSize }, inputs) => ({ facts: { vocabSize: vocabSize ?? inputs.tokenizer?.facts?.vocabSize ?? inputs.checkpoint?.facts?.vocabSize ?? null } }),
  run: runTokenize,
};

async function runTokenize({ recipe, inputs, seed }: StageRequest<TokenizeRecipe>, context: StageContext): Promise<StageResult> {
  const documents = await context.artifacts.file(inputs.documents!, DOCUMENTS_FILE);
  const breath = new Breath(context, await countDocuments(documents));
  const census = await takeCensus(documents, breath);
  checkMixture(recipe, census);
  const tokenizer = await tokenizerFor(recipe, [inputs.tokenizer, inputs.checkpoint], context.artifacts, () => sampleTexts(documents, census.trainBytes, recipe.trainingBytes, breath));
  const directory = join(context.scratchDir, "shards");
  await mkdir(directory, { recursive: true });
  const tokenizerJson = tokenizer.toJson();
  await writeFile(join(directory, "tokenizer.json"), tokenizerJson);
  const spill = new TokenSpill(join(context.scratchDir, "tokens"));
  try {
    const available = await encodeAll(documents, tokenizer, spill, breath);
    const spending = recipe.budget === undefined ? undefined : planBudget(available, recipe.budget);
    const mixture = spending === undefined ? recipe.mixture : Object.fromEntries(Object.entries(spending).map(([source, { times }]) => [source, times]));
    const order = recipe.packing === "repository" ? await packByRepository(spill, readTable(await context.artifacts.file(inputs.documents!, tablePath("attributes", FILES_TABLE)))) : undefined;
    const options = { vocabSize: tokenizer.vocabSize, tokenizerSha256: sha256(tokenizerJson), tokensPerShard: recipe.tokensPerShard };
    const realised: Record<string, number> = {};
    const mixed = counting(mix(spill, { split: "train", mixture, seed, order, breath }), realised);
    const train = await writeShards(join(directory, "train"), mixed, options);
    const validation = await writeShards(join(directory, "validation"), mix(spill, { split: "validation", mixture, seed, order, breath, mostTimes: 1 }), options);
    const summary = {
      vocabSize: tokenizer.vocabSize,
      train: { documents: train.documents, tokens: train.tokens, root: train.root },
      validation: { documents: validation.documents, tokens: validation.tokens, root: validation.root },
      ...(spending === undefined ? {} : { budget: withRealised(spending, realised) }),
    };
    return { outputs: { shards: { kind: "shards", directory, meta: summary } }, summary };
  } finally {
    spill.close();
  }
}

/** What must be known of all documents before the first one is encoded. */
interface Census {
  readonly sources: ReadonlySet<string>;
  /** Bytes of the training documents' texts. */
  readonly trainBytes: number;
}

async function takeCensus(path: string, breath: Breath): Promise<Census> {
  let [documents, trainBytes] = [0, 0];
  const sources = new Set<string>();
  for await (const { source, split, text } of readDocuments(path)) {
    await breath.take(documents++, "census");
    sources.add(source);
    if (split === "train") trainBytes += Buffer.byteLength(text);
  }
  return { sources, trainBytes };
}

function checkMixture({ mixture, budget }: TokenizeRecipe, { sources }: Census): void {
  if (budget !== undefined && Object.keys(mixture).length > 0) throw new InvalidRecipe("stage tokenize", ["expected either a mixture or a budget, found both"]);
  const unknown = Object.keys(budget?.shares ?? mixture).filter((source) => !sources.has(source));
  if (unknown.length === 0) return;
  throw new InvalidRecipe("stage tokenize", [`${budget === undefined ? "mixture" : "budget.shares"}: expected ids of ${[...sources].sort().join(", ")}, found ${unknown.join(", ")}`]);
}

async function tokenizerFor(recipe: TokenizeRecipe, holders: readonly (ArtifactRef | undefined)[], artifacts: ArtifactStore, sample: () => AsyncIterable<string>): Promise<Tokenizer> {
  const [given, ...others] = holders.filter((holder) => holder !== undefined);
  if (others.length > 0) throw new InvalidRecipe("stage tokenize", ["expected either a tokenizer or a checkpoint input, found both"]);
  if ((recipe.vocabSize === undefined) === (given === undefined)) {
    throw new InvalidRecipe("stage tokenize", [`expected either vocabSize or a tokenizer input, found ${given === undefined ? "neither" : "both"}`]);
  }
  if (given !== undefined) return Tokenizer.fromJson(await readFile(await artifacts.file(given, "tokenizer.json"), "utf8"));
  return trainTokenizer(sample(), { vocabSize: recipe.vocabSize! });
}

/**
 * Training documents spread evenly over the corpus, so that no source is left out of the vocabulary: every k-th. Should
 * just the large ones be among these, those that would take the sample beyond twice its bytes are passed over.
 */
async function* sampleTexts(path: string, trainBytes: number, bytes: number, breath: Breath): AsyncGenerator<string> {
  const every = Math.ceil(trainBytes / bytes);
  let [documents, seen, taken] = [0, 0, 0];
  for await (const { split, text } of readDocuments(path)) {
    await breath.take(documents++, "vocabulary");
    if (split !== "train" || seen++ % every !== 0) continue;
    const size = Buffer.byteLength(text);
    if (taken > 0 && taken + size > 2 * bytes) continue;
    taken += size;
    yield text;
  }
}

/** @returns tokens of the training documents, by source */
async function encodeAll(path: string, tokenizer: Tokenizer, spill: TokenSpill, breath: Breath): Promise<Record<string, number>> {
  const available: Record<string, number> = {};
  const end = tokenizer.id(END_OF_TEXT);
  for await (const { docId, source, language, split, text, path: place } of readDocuments(path)) {
    await breath.take(spill.length, "encoding");
    const encoded = tokenizer.encode(text);
    const tokens = new Uint32Array(encoded.length + 1).fill(end);
    tokens.set(encoded);
    spill.append({ docId, source, language, split, tokens }, place);
    if (split === "train") available[source] = (available[source] ?? 0) + tokens.length;
  }
  return available;
}

const END_OF_TEXT = SPECIAL_TOKENS[0];

interface MixOptions {
  readonly split: Split;
  readonly mixture: TokenizeRecipe["mixture"];
  readonly seed: number;
  /** Indices into the spill, where the order is not its own. */
  readonly order: Uint32Array | undefined;
  readonly breath: Breath;
  readonly mostTimes?: number;
}

/**
 * Each document as often as its source's weight says, at most `mostTimes`; the rest of a fraction is a draw of its own.
 * Copies lie a round apart: side by side they would share canvases, where one shows what is masked in the other.
 */
async function* mix(spill: TokenSpill, { split, mixture, seed, order, breath, mostTimes = Number.POSITIVE_INFINITY }: MixOptions): AsyncGenerator<TokenDocument> {
  const times = new Uint32Array(spill.length);
  let rounds = 0;
  for (let index = 0; index < spill.length; index++) {
    const head = spill.head(index);
    if (head.split !== split) continue;
    const weight = Math.min(mostTimes, mixture[head.source] ?? 1);
    const draw = stream({ seed, stage: "tokenize", purpose: `mixture ${head.docId}` }).uniform();
    times[index] = Math.floor(weight) + (draw < weight % 1 ? 1 : 0);
    rounds = Math.max(rounds, times[index]!);
  }
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < spill.length; place++) {
      const index = order?.[place] ?? place;
      if (times[index]! <= round) continue;
      await breath.take(place, `writing ${split}`);
      yield spill.read(index);
    }
  }
}

/** Adds up tokens by source on their way into shards. */
async function* counting(documents: AsyncIterable<TokenDocument>, counts: Record<string, number>): AsyncGenerator<TokenDocument> {
  for await (const document of documents) {
    counts[document.source] = (counts[document.source] ?? 0) + document.tokens.length;
    yield document;
  }
}

/** Lets others work now and then, tells how far the stage is, and hears a request to stop. */
class Breath {
  readonly #context: StageContext;
  readonly #documents: number;
  #doing = "";
  #taken = 0;

  constructor(context: StageContext, documents: number) {
    this.#context = context;
    this.#documents = documents;
  }

  async take(step: number, note: string): Promise<void> {
    if (note !== this.#doing) [this.#doing, this.#taken] = [note, 0];
    if (this.#taken++ % DOCUMENTS_PER_BREATH !== 0) return;
    if (this.#context.signal.aborted) throw new StageCancelled("tokenize");
    this.#context.report({ step, totalSteps: this.#documents, unit: "documents", note });
    await setImmediate();
  }
}

const DOCUMENTS_PER_BREATH = 64;
