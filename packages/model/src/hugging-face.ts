import type { TensorToWrite, Weights } from "@diffucoder/formats";
import type { ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { parameterShapes } from "./parameters.ts";

/** A tensor of a model on disk. */
export interface ModelTensor extends TensorToWrite {
  /**
   * Its numbers, as float32.
   *
   * @throws ModelError `WrongParameters` when one is not finite
   */
  numbers(): Promise<Float32Array>;
}

/**
 * The tensors of a model on disk, to be read, or written elsewhere as they are, one by one. All are checked before the first is
 * read, but what follows from the rest is left out: a head that repeats a tied embedding, rotary frequencies.
 *
 * @throws ModelError `WrongParameters` naming file and tensor, what was expected and what was found
 */
export async function modelTensors(config: ModelConfig, weights: Weights): Promise<ModelTensor[]> {
  const shapes = parameterShapes(config);
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const entry = weights.entry(name);
    if (entry?.shape.join() !== shape.join()) {
      const file = entry?.file ?? weights.files.join(", ");
      throw new ModelError("WrongParameters", `${file}: tensor ${name}: expected [${shape.join()}], found ${entry === undefined ? "nothing" : `[${entry.shape.join()}]`}. ${FIX}`);
    }
    const numbers = async () => requireFinite(`${entry.file}: tensor ${name}`, (await weights.read(name)).data);
    return { name, shape, dtype: entry.dtype, bytes: () => weights.readBytes(name), numbers };
  });
  for (const name of weights.names()) {
    if (name in shapes || name.endsWith(".rotary_emb.inv_freq") || (name === HEAD && (await isTiedHead(weights)))) continue;
    const problem = name === HEAD ? "expected the embedding once more, since tie_word_embeddings is true, found other numbers" : "expected none of that name, found one";
    throw new ModelError("WrongParameters", `${weights.entry(name)!.file}: tensor ${name}: ${problem}. ${FIX}`);
  }
  return tensors;
}

function requireFinite(subject: string, data: Float32Array): Float32Array {
  const odd = data.findIndex((value) => !Number.isFinite(value));
  if (odd < 0) return data;
  throw new ModelError("WrongParameters", `${subject}: expected finite numbers, found ${data[odd]} at ${odd}. Use an earlier checkpoint, of before the training diverged.`);
}

const FIX = "Use weights and config.json of one checkpoint.";
const HEAD = "lm_head.weight";
const EMBEDDING = "model.embed_tokens.weight";

async function isTiedHead(weights: Weights): Promise<boolean> {
  return Buffer.compare(await weights.readBytes(HEAD), await weights.readBytes(EMBEDDING)) === 0;
}

/** What a model needs of a tokenizer. */
interface Vocabulary {
  readonly vocabSize: number;
  id(token: string): number;
}

/**
 * Published models have more rows than tokens, never fewer.
 *
 * @throws ModelError `WrongTokenizer` when a token has no row, or mask or pad is another token than the model's
 */
export function checkVocabulary({ vocabSize, maskId, padId }: ModelConfig, tokenizer: Vocabulary): void {
  if (tokenizer.vocabSize > vocabSize) throw wrongTokenizer(`at most ${vocabSize} tokens, as vocab_size`, String(tokenizer.vocabSize));
  for (const [token, key, id] of [["<|mask|>", "mask_token_id", maskId], ["<|dlm_pad|>", "pad_token_id", padId]] as const) {
    const found = tokenizer.id(token);
    if (found !== id) throw wrongTokenizer(`${token} at id ${id}, as ${key}`, `it at ${found}`);
  }
}

const wrongTokenizer = (expected: string, found: string): ModelError =>
  new ModelError("WrongTokenizer", `tokenizer: expected ${expected} in config.json, found ${found}. Use the tokenizer that the model was trained with.`);
