import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Weights, findCheckpointText, requireCheckpointFile, type FileOf, type TensorToWrite } from "@diffucoder/formats";
import { InvalidRecipe, describeSystemError, hashFile, sha256 } from "@diffucoder/lineage";
import { ModelError, checkVocabulary, fromHuggingFace, modelTensors, type ModelConfig } from "@diffucoder/model";
import { SPECIAL_TOKENS, Tokenizer, type VocabularyFiles } from "@diffucoder/tokenizer";

/** A model as it lies in a folder of Hugging Face's layout, checked; close it when its tensors are read. */
export interface ModelFolder {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** In the order of the model's layers; their bytes are read when asked for. */
  readonly tensors: readonly TensorToWrite[];
  close(): Promise<void>;
}

const TOKENIZER_FILE = "tokenizer.json";
const VOCABULARY_FILES = ["vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"] as const satisfies readonly (keyof VocabularyFiles)[];

/**
 * Opens a model of Qwen2's or Dream's layout. Special tokens that its tokenizer lacks take the ids behind its last one,
 * as Dream gave them to Qwen2.5; the model must have rows for them.
 *
 * @throws InvalidRecipe, FormatError, TokenizerError, ModelError naming file, tensor or token, expected and found
 */
export async function openModelFolder(folder: string): Promise<ModelFolder> {
  const fileOf: FileOf = async (name) => join(folder, name);
  const configJson = readConfig(folder);
  const found = await readTokenizer(fileOf);
  const tokenizer = found.withSpecialTokens();
  const tokens = { maskId: tokenizer.id("<|mask|>"), padId: tokenizer.id("<|dlm_pad|>") };
  // The pad that instruction tuning learns, whatever fills up batches elsewhere.
  const config = { ...fromHuggingFace(configJson, tokens), padId: tokens.padId };
  requireRows(config, found, tokenizer);
  checkVocabulary(config, tokenizer);
  refuseOtherTokenizer(configJson, tokenizer);
  const weights = await Weights.open(fileOf);
  try {
    return { config, tokenizer, tensors: await modelTensors(config, weights), close: () => weights.close() };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** `config.json` as it stands in a folder. @throws InvalidRecipe when it is not there or no JSON */
export function readConfig(folder: string): Record<string, unknown> {
  const path = join(folder, "config.json");
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  } catch (error) {
    const found = error instanceof SyntaxError ? error.message : describeSystemError(error);
    throw new InvalidRecipe("stage hugging-face", [`folder: expected a model with ${path}, found ${found}`]);
  }
}

/** sha256 of each file that decides what the model is. @throws InvalidRecipe, FormatError when one of their names is that of something else */
export async function identifyModelFolder(folder: string): Promise<Record<string, string>> {
  readConfig(folder);
  const names = (await readdir(folder)).filter((name) => ["config.json", TOKENIZER_FILE, ...VOCABULARY_FILES].includes(name) || /\.safetensors(\.index\.json)?$/.test(name)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await hashFile((await requireCheckpointFile(async () => join(folder, name), name)).path)])));
}

async function readTokenizer(fileOf: FileOf): Promise<Tokenizer> {
  const whole = await findCheckpointText(fileOf, TOKENIZER_FILE);
  if (whole !== undefined) return Tokenizer.fromJson(whole);
  const files = await Promise.all(VOCABULARY_FILES.map(async (name) => [name, await findCheckpointText(fileOf, name)] as const));
  return Tokenizer.fromFiles(Object.fromEntries(files.filter(([, text]) => text !== undefined)));
}

/** A folder that was exported here tells its tokenizer's digest; one of as many tokens would otherwise pass. */
function refuseOtherTokenizer({ tokenizer_sha256: expected }: Record<string, unknown>, tokenizer: Tokenizer): void {
  const found = sha256(tokenizer.toJson());
  if (expected === undefined || expected === found) return;
  throw new ModelError(
    "WrongTokenizer",
    `tokenizer: expected that of the model, tokenizer_sha256 ${String(expected)} in config.json, found another, ${found}. ` +
      "Put back the one that was exported with the weights; remove the key if the tokenizer was changed on purpose.",
  );
}

/** A model that was trained without our special tokens may have no spare rows for them. */
function requireRows({ vocabSize }: ModelConfig, found: Tokenizer, extended: Tokenizer): void {
  if (found.vocabSize > vocabSize || extended.vocabSize <= vocabSize) return;
  throw new ModelError(
    "WrongTokenizer",
    `config.json: expected vocab_size of at least ${extended.vocabSize}, for the tokenizer's ${found.vocabSize} tokens and those of ${SPECIAL_TOKENS.join(" ")} that it lacks, found ${vocabSize}. ` +
      "Add rows to the embedding, and to the head unless it is tied, with `resize_token_embeddings` of transformers.",
  );
}
