import { z } from "zod";

const benchmark = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("card"), card: z.string().describe("data card of a wheel that holds the benchmark"), member: z.string().describe("its path in the wheel") }),
  z.strictObject({ kind: z.literal("file"), path: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
]);

/** What the documents depend on; part of the stage key. Paths are relative to the pipeline recipe. */
export const corpusRecipeSchema = z.strictObject({
  sources: z.array(z.strictObject({ card: z.string().describe("path of a data card") })).min(1),
  decontamination: z
    .strictObject({
      words: z.int().min(3).default(10).describe("length of the shared run of words at which a document is dropped"),
      benchmarks: z.array(benchmark).min(1).describe("HumanEval files that must not be trained on"),
    })
    .optional(),
  validationShare: z.number().gt(0).lt(1).default(0.05).describe("share of documents held out, by group"),
});

export const corpusExecutionSchema = z.strictObject({});

/** What the shards depend on; part of the stage key. */
export const tokenizeRecipeSchema = z.strictObject({
  vocabSize: z.int().min(300).optional().describe("of a tokenizer trained on these documents; left out when one is given as input"),
  trainingBytes: z.int().positive().default(8 << 20).describe("the vocabulary is learned from about so many bytes, of documents spread evenly over the corpus"),
  mixture: z
    .record(z.string(), z.number().nonnegative())
    .default({})
    .describe("times each source's documents are used, by card id, 1 unless given; fractions keep a random share; validation uses each at most once"),
  tokensPerShard: z.int().positive().default(1 << 22),
});

export const tokenizeExecutionSchema = z.strictObject({});

export type CorpusRecipe = z.infer<typeof corpusRecipeSchema>;
export type TokenizeRecipe = z.infer<typeof tokenizeRecipeSchema>;
