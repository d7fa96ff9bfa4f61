import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { DOCUMENTS_FILE, readDocuments, writeShards, type DocumentRow, type TokenDocument } from "@diffucoder/formats";
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
import { packByRepository, repositories } from "./pack-repositories.ts";
import { planBudget, withRealised } from "./token-budget.ts";
import { tokenizeExecutionSchema, tokenizeRecipeSchema, type TokenizeRecipe } from "./config.ts";

/**
 * Documents as token shards, train and validation apart, each document closed by `<|endoftext|>`. The tokenizer is
 * learned here, or taken from other shards or from a checkpoint, so that later mixtures fit the same model.
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
  const inOrder = await Array.fromAsync(readDocuments(await context.artifacts.file(inputs.documents!, DOCUMENTS_FILE)));
  const rows = recipe.packing === "repository" ? packByRepository(inOrder, await repositories(inputs.documents!, context.artifacts)) : inOrder;
  checkMixture(recipe, rows);
  context.report({ step: 0, totalSteps: rows.length, unit: "documents", note: "tokenizer" });
  const tokenizer = await tokenizerFor(recipe, rows, [inputs.tokenizer, inputs.checkpoint], context.artifacts);
  const directory = join(context.scratchDir, "shards");
  const tokenizerJson = tokenizer.toJson();
  const documents = await encodeAll(rows, tokenizer, context);
  const options = { vocabSize: tokenizer.vocabSize, tokenizerSha256: sha256(tokenizerJson), tokensPerShard: recipe.tokensPerShard };
  const spending = recipe.budget === undefined ? undefined : planBudget(documents.train, recipe.budget);
  const mixture = spending === undefined ? recipe.mixture : Object.fromEntries(Object.entries(spending).map(([source, { times }]) => [source, times]));
  const mixed = mix(documents.train, mixture, seed);
  const train = await writeShards(join(directory, "train"), mixed, options);
  const validation = await writeShards(join(directory, "validation"), mix(documents.validation, mixture, seed, 1), options);
  await writeFile(join(directory, "tokenizer.json"), tokenizerJson);
  const summary = {
    vocabSize: tokenizer.vocabSize,
    train: { documents: train.documents, tokens: train.tokens, root: train.root },
    validation: { documents: validation.documents, tokens: validation.tokens, root: validation.root },
    ...(spending === undefined ? {} : { budget: withRealised(spending, mixed) }),
  };
  return { outputs: { shards: { kind: "shards", directory, meta: summary } }, summary };
}

function checkMixture({ mixture, budget }: TokenizeRecipe, rows: readonly DocumentRow[]): void {
  if (budget !== undefined && Object.keys(mixture).length > 0) throw new InvalidRecipe("stage tokenize", ["expected either a mixture or a budget, found both"]);
  const sources = new Set(rows.map(({ source }) => source));
  const unknown = Object.keys(budget?.shares ?? mixture).filter((source) => !sources.has(source));
  if (unknown.length === 0) return;
  throw new InvalidRecipe("stage tokenize", [`${budget === undefined ? "mixture" : "budget.shares"}: expected ids of ${[...sources].sort().join(", ")}, found ${unknown.join(", ")}`]);
}

async function tokenizerFor(recipe: TokenizeRecipe, rows: readonly DocumentRow[], holders: readonly (ArtifactRef | undefined)[], artifacts: ArtifactStore): Promise<Tokenizer> {
  const [given, ...others] = holders.filter((holder) => holder !== undefined);
  if (others.length > 0) throw new InvalidRecipe("stage tokenize", ["expected either a tokenizer or a checkpoint input, found both"]);
  if ((recipe.vocabSize === undefined) === (given === undefined)) {
    throw new InvalidRecipe("stage tokenize", [`expected either vocabSize or a tokenizer input, found ${given === undefined ? "neither" : "both"}`]);
  }
  if (given !== undefined) return Tokenizer.fromJson(await readFile(await artifacts.file(given, "tokenizer.json"), "utf8"));
  return trainTokenizer(textsUpTo(rows, recipe.trainingBytes), { vocabSize: recipe.vocabSize! });
}

/** Training documents spread evenly over the corpus, so that no source is left out of the vocabulary. */
function textsUpTo(rows: readonly DocumentRow[], bytes: number): string[] {
  const candidates = rows.filter(({ split }) => split === "train");
  const total = candidates.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  const every = Math.ceil(total / bytes);
  return candidates.filter((_, i) => i % every === 0).map(({ text }) => text);
}

async function encodeAll(rows: readonly DocumentRow[], tokenizer: Tokenizer, context: StageContext) {
  const documents: Record<DocumentRow["split"], TokenDocument[]> = { train: [], validation: [] };
  const end = tokenizer.id(END_OF_TEXT);
  for (const [index, { docId, source, language, split, text }] of rows.entries()) {
    const encoded = tokenizer.encode(text);
    const tokens = new Uint32Array(encoded.length + 1).fill(end);
    tokens.set(encoded);
    documents[split].push({ docId, source, language, tokens });
    if (index % DOCUMENTS_PER_BREATH !== 0) continue;
    if (context.signal.aborted) throw new StageCancelled("tokenize");
    context.report({ step: index, totalSteps: rows.length, unit: "documents" });
    await setImmediate();
  }
  return documents;
}

const END_OF_TEXT = SPECIAL_TOKENS[0];
const DOCUMENTS_PER_BREATH = 64;

/**
 * Each document as often as its source's weight says, at most `mostTimes`; the rest of a fraction is a draw of its own.
 * Copies lie a round apart: side by side they would share canvases, where one shows what is masked in the other.
 */
function mix(documents: readonly TokenDocument[], mixture: TokenizeRecipe["mixture"], seed: number, mostTimes = Number.POSITIVE_INFINITY): TokenDocument[] {
  const times = documents.map(({ docId, source }) => {
    const weight = Math.min(mostTimes, mixture[source] ?? 1);
    const draw = stream({ seed, stage: "tokenize", purpose: `mixture ${docId}` }).uniform();
    return Math.floor(weight) + (draw < weight % 1 ? 1 : 0);
  });
  const rounds = times.reduce((most, count) => Math.max(most, count), 0);
  return Array.from({ length: rounds }, (_, round) => documents.filter((_, index) => times[index]! > round)).flat();
}
