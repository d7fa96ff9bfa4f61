import { z } from "zod";
import { TokenizerError } from "./errors.ts";
import { addedTokenSchema, idsSchema, parseJsonFile, splitMerge } from "./tokenizer-json.ts";
import { vocabularyFrom, type AddedToken, type Vocabulary } from "./vocabulary.ts";

/** The files of a Hugging Face tokenizer of Qwen2's or Dream's class, by name. */
export interface VocabularyFiles {
  readonly "vocab.json": string;
  readonly "merges.txt": string;
  /** Ids of added tokens by content. Files of older releases have nothing else to tell them by. */
  readonly "added_tokens.json": string;
  /** The class, which stands for pre-tokenizer and normalisation, and the added tokens with their properties. */
  readonly "tokenizer_config.json": string;
}

const VERSION_LINE = "#version: 0.2";

export function formatVocabularyFiles({ names, merges, added }: Vocabulary): VocabularyFiles {
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  const decoder = added.map(({ id, content, special }) => [id, { content, lstrip: false, normalized: false, rstrip: false, single_word: false, special }]);
  const named = (token: string) => added.find(({ content }) => content === token)?.content ?? null;
  return {
    "vocab.json": JSON.stringify(Object.fromEntries(names.flatMap((name, id) => (name === undefined ? [] : [[name, id]])))),
    "merges.txt": [VERSION_LINE, ...merges.map((parts) => parts.join(" ")), ""].join("\n"),
    "added_tokens.json": json(Object.fromEntries(added.map(({ content, id }) => [content, id]))),
    "tokenizer_config.json": json({
      tokenizer_class: "Qwen2Tokenizer",
      added_tokens_decoder: Object.fromEntries(decoder),
      additional_special_tokens: added.flatMap(({ content, special }) => (special ? [content] : [])),
      add_prefix_space: false,
      bos_token: null,
      clean_up_tokenization_spaces: false,
      eos_token: named("<|endoftext|>"),
      errors: "replace",
      mask_token: named("<|mask|>"),
      model_max_length: 131_072,
      pad_token: named("<|dlm_pad|>") ?? named("<|endoftext|>"),
      split_special_tokens: false,
      unk_token: null,
    }),
  };
}

/** @throws TokenizerError `TokenizerCorrupt` naming the file, and the key, line or token that is wrong */
export function parseVocabularyFiles(files: Partial<VocabularyFiles>): Vocabulary {
  const vocab = parseJsonFile("vocab.json", required(files, "vocab.json"), idsSchema);
  const merges = required(files, "merges.txt")
    .split(/\r?\n/)
    .flatMap((line, index) => (line === "" || (index === 0 && line.startsWith("#version")) ? [] : [splitMerge(`merges.txt:${index + 1}`, line)]));
  return vocabularyFrom("vocab.json", new Map(Object.entries(vocab)), merges, addedTokens(files));
}

function required(files: Partial<VocabularyFiles>, name: keyof VocabularyFiles): string {
  const text = files[name];
  if (text !== undefined) return text;
  throw new TokenizerError("TokenizerCorrupt", `${name}: expected the file beside the others of the tokenizer, found none`);
}

function addedTokens(files: Partial<VocabularyFiles>): AddedToken[] {
  const config = parseJsonFile("tokenizer_config.json", files["tokenizer_config.json"] ?? "{}", configSchema);
  const added = new Map<string, AddedToken>();
  for (const [content, id] of Object.entries(parseJsonFile("added_tokens.json", files["added_tokens.json"] ?? "{}", idsSchema))) {
    added.set(content, { content, id, special: true });
  }
  for (const [key, { content, special }] of Object.entries(config.added_tokens_decoder)) {
    const id = Number(key);
    const listed = added.get(content)?.id ?? id;
    if (listed !== id) throw new TokenizerError("TokenizerCorrupt", `tokenizer_config.json: expected id ${listed} for ${content} as in added_tokens.json, found ${id}`);
    added.set(content, { content, id, special });
  }
  return [...added.values()];
}

const configSchema = z.object({
  tokenizer_class: z.enum(["Qwen2Tokenizer", "Qwen2TokenizerFast", "DreamTokenizer"]).optional(),
  add_prefix_space: z.literal(false).optional(),
  add_bos_token: z.literal(false).optional(),
  added_tokens_decoder: z.record(z.string().regex(/^\d{1,7}$/), addedTokenSchema).default({}),
});
