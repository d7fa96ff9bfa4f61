import { z } from "zod";
import { CLUSTER_RULES } from "./near-duplicates/clusters.ts";
import { KEEPER_RULES } from "./near-duplicates/keeper-order.ts";
import { MINHASH_PRESETS, type MinHashPreset } from "./near-duplicates/minhash-scheme.ts";

const digest = z.string().regex(/^[0-9a-f]{64}$/);

const items = {
  id: z.string().default("task_id").describe("key of an item's name"),
  fields: z.array(z.string()).min(1).default(["prompt", "canonical_solution"]).describe("keys of the texts that must not be trained on"),
};

const benchmark = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("card"), card: z.string().describe("data card of a wheel that holds the benchmark"), member: z.string().describe("its path in the wheel"), ...items }),
  z.strictObject({ kind: z.literal("file"), path: z.string().describe("JSON lines, also gzipped, or one JSON list"), sha256: digest, ...items }),
]);

const licences = z.strictObject({
  allow: z.array(z.string()).min(1).describe("SPDX ids; `permissive` stands for the list of them"),
  unknown: z.enum(["keep", "drop"]).default("drop").describe("files whose licence is not found, or is no SPDX expression"),
});

const nearDuplicates = z.strictObject({
  threshold: z.number().gt(0).max(1).describe("Jaccard similarity of runs of words at which one of two documents is dropped"),
  scheme: z.enum(Object.keys(MINHASH_PRESETS) as [MinHashPreset, ...MinHashPreset[]]).default("standard"),
});

const quality = z.strictObject({
  thresholds: z.enum(["refinecode", "stack-v2-like"]).describe("columns of the table of thresholds"),
  changes: z
    .record(z.string(), z.strictObject({ least: z.number().optional(), most: z.number().optional() }))
    .default({})
    .describe("bounds in place of the table's, by signal, for all languages that it is measured of; none switch a rule off"),
});

/** What the documents depend on; part of the stage key. Paths are relative to the pipeline recipe. */
export const corpusRecipeSchema = z.strictObject({
  sources: z.array(z.strictObject({ card: z.string().describe("path of a data card") })).min(1),
  preset: z.enum(["none", "refinecode", "stack-v2-like"]).default("none").describe("what is set where the recipe says nothing"),
  languages: z.array(z.string()).min(1).optional().describe("the only languages kept, by their Linguist names in small letters"),
  licences: licences.optional(),
  keeper: z.enum(KEEPER_RULES).optional().describe("which of several like documents stays"),
  nearDuplicates: nearDuplicates.optional().describe("for all sources, in place of what their cards say"),
  clusters: z.enum(CLUSTER_RULES).optional(),
  quality: quality.optional(),
  personalData: z.enum(["redact", "count"]).optional().describe("e-mail addresses, keys, passwords and IP addresses"),
  copyrightHeaders: z.enum(["strip", "count"]).optional().describe("comments at the heads of files that tell a copyright or licence; the licence is found before"),
  decontamination: z
    .strictObject({
      words: z.int().min(3).default(10).describe("length of the shared run of words at which a document is dropped"),
      entryPoints: z.boolean().default(false).describe("also drop what defines a function called as a benchmark's, generic names apart"),
      benchmarks: z.array(benchmark).min(1).describe("evaluation data that must not be trained on"),
    })
    .optional(),
  waivers: z
    .array(z.strictObject({ card: z.string(), subject: z.string(), found: z.string(), reason: z.string().regex(/\S/, "expected words, found none") }))
    .default([])
    .describe("differences from cards that are let pass, as the error tells them, each with its reason"),
  validationShare: z.number().gt(0).lt(1).default(0.05).describe("share of documents held out, by group"),
});

export const corpusExecutionSchema = z.strictObject({
  partitions: z.int().positive().default(1).describe("processes, on any number of workers, that share the reading and measuring of the sources before one puts the corpus together"),
  workers: z.int().nonnegative().default(0).describe("threads that search near-duplicates beside the main one"),
});

/** What the shards depend on; part of the stage key. */
export const tokenizeRecipeSchema = z.strictObject({
  vocabSize: z.int().min(300).optional().describe("of a tokenizer trained on these documents; left out when one is given as input"),
  trainingBytes: z.int().positive().default(8 << 20).describe("the vocabulary is learned from about so many bytes, of documents spread evenly over the corpus"),
  mixture: z
    .record(z.string(), z.number().nonnegative())
    .default({})
    .describe("times each source's documents are used, by card id, 1 unless given; fractions keep a random share; validation uses each at most once"),
  budget: z
    .strictObject({
      tokens: z.int().positive(),
      shares: z.record(z.string(), z.number().nonnegative()).describe("parts of the budget, by card id; they are scaled to add up to 1"),
      mostEpochs: z.number().positive().default(4).describe("no source is used more often, so that a small one may fall short of its part"),
    })
    .optional()
    .describe("in place of a mixture: times follow from tokens"),
  packing: z.enum(["document", "repository"]).default("document").describe("order of the documents: the corpus's, or the files of a repository one after the other by path"),
  tokensPerShard: z.int().positive().default(1 << 22),
});

export const tokenizeExecutionSchema = z.strictObject({});

export type CorpusRecipe = z.infer<typeof corpusRecipeSchema>;
export type CorpusExecution = z.infer<typeof corpusExecutionSchema>;
export type TokenizeRecipe = z.infer<typeof tokenizeRecipeSchema>;
