import { describeMismatch } from "@diffucoder/lineage";
import { z } from "zod";
import { TokenizerError } from "./errors.ts";
import { PUBLISHED_PATTERN } from "./pre-tokenizer.ts";
import { MOST_IDS, vocabularyFrom, type Vocabulary } from "./vocabulary.ts";

/** Hugging Face `tokenizer.json`: a vocabulary with Qwen2's normalisation and pre-tokenizer. */
export function formatTokenizerJson({ names, merges, added }: Vocabulary): string {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const json = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added.map(({ id, content, special }) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special })),
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [{ type: "Split", pattern: { Regex: PUBLISHED_PATTERN }, behavior: "Isolated", invert: false }, byteLevel],
    },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(names.flatMap((name, id) => (name === undefined ? [] : [[name, id]]))),
      merges,
    },
  };
  return `${JSON.stringify(json)}\n`;
}

/** @throws TokenizerError `TokenizerCorrupt` naming the key or token that is wrong */
export function parseTokenizerJson(text: string): Vocabulary {
  const { model, added_tokens: added } = parseJsonFile("tokenizer.json", text, tokenizerJson);
  const merges = model.merges.map((merge) => (typeof merge === "string" ? splitMerge("tokenizer.json", merge) : merge));
  return vocabularyFrom("tokenizer.json", new Map(Object.entries(model.vocab)), merges, added);
}

/** @throws TokenizerError `TokenizerCorrupt` naming the file and what is wrong in it */
export function parseJsonFile<T>(file: string, text: string, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TokenizerError("TokenizerCorrupt", `${file}: expected JSON, found ${(error as SyntaxError).message}`);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new TokenizerError("TokenizerCorrupt", `${file}: ${describeMismatch(parsed.error, json)}`);
}

/** A merge in one string: names hold no space, since the alphabet writes that as another character. */
export function splitMerge(file: string, merge: string): [string, string] {
  const [left, right, ...rest] = merge.split(" ");
  if (left && right && rest.length === 0) return [left, right];
  throw new TokenizerError("TokenizerCorrupt", `${file}: expected a merge of two tokens, found ${JSON.stringify(merge)}`);
}

const idSchema = z.int().nonnegative().lt(MOST_IDS);

export const idsSchema = z.record(z.string(), idSchema);

const tokenContent = z.string().min(1).refine((content) => content.isWellFormed(), "expected Unicode text, found half a surrogate pair");

/** How an added token is found: one that takes white space with it, or is sought after normalisation, would give other ids. */
export const addedTokenSchema = z.object({
  content: tokenContent,
  special: z.boolean().default(true),
  single_word: z.literal(false).optional(),
  lstrip: z.literal(false).optional(),
  rstrip: z.literal(false).optional(),
  normalized: z.literal(false).optional(),
});

const absent = z.null().optional();
const absentOrEmpty = z.union([z.literal(""), z.null()]).optional();

/** What transformers 5 writes for Qwen2: a template of the text itself, without a token before or behind it. */
const addsNothing = z.object({ type: z.literal("TemplateProcessing"), single: z.tuple([z.object({ Sequence: z.object({ id: z.literal("A") }) })]) });

/** What decides ids. A tokenizer that splits, normalises or merges in another way has other ids for the same vocabulary. */
const tokenizerJson = z.object({
  added_tokens: z.array(addedTokenSchema.extend({ id: idSchema })),
  normalizer: z.object({ type: z.literal("NFC") }),
  pre_tokenizer: z.object({
    pretokenizers: z.tuple([
      z.object({ type: z.literal("Split"), pattern: z.object({ Regex: z.literal(PUBLISHED_PATTERN) }), behavior: z.literal("Isolated"), invert: z.literal(false) }),
      z.object({ type: z.literal("ByteLevel"), add_prefix_space: z.literal(false), use_regex: z.literal(false) }),
    ]),
  }),
  post_processor: z.union([z.null(), z.object({ type: z.literal("ByteLevel") }), addsNothing]).optional(),
  model: z.object({
    type: z.literal("BPE"),
    dropout: absent,
    continuing_subword_prefix: absentOrEmpty,
    end_of_word_suffix: absentOrEmpty,
    ignore_merges: z.literal(false).optional(),
    vocab: idsSchema,
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
