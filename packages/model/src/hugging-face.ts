import type { TensorToWrite, Weights } from "@diffucoder/formats";
import type { ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { parameterShapes } from "./parameters.ts";

/**
 * The tensors of a model on disk, to be written elsewhere one by one as they are. All are checked before the first is
 * read, but what follows from the rest is left out: a head that repeats a tied embedding, rotary frequencies.
 *
 * @throws ModelError `WrongParameters` naming file and tensor, what was expected and what was found
 */
export async function modelTensors(config: ModelConfig, weights: Weights): Promise<TensorToWrite[]> {
  const shapes = parameterShapes(config);
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const entry = weights.entry(name);
    if (entry?.shape.join() !== shape.join()) {
      const file = entry?.file ?? weights.files.join(", ");
      throw new ModelError("WrongParameters", `${file}: tensor ${name}: expected [${shape.join()}], found ${entry === undefined ? "nothing" : `[${entry.shape.join()}]`}`);
    }
    return { name, shape, dtype: entry.dtype, bytes: () => weights.readBytes(name) };
  });
  for (const name of weights.names()) {
    if (name in shapes || name.endsWith(".rotary_emb.inv_freq") || (name === HEAD && (await isTiedHead(weights)))) continue;
    const problem = name === HEAD ? "expected the embedding once more, since tie_word_embeddings is true, found other numbers" : "expected none of that name, found one";
    throw new ModelError("WrongParameters", `${weights.entry(name)!.file}: tensor ${name}: ${problem}`);
  }
  return tensors;
}

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
 * @throws ModelError `WrongTokenizer` when a token has no row, or the mask is another token than the model's
 */
export function checkVocabulary({ vocabSize, maskId }: ModelConfig, tokenizer: Vocabulary): void {
  if (tokenizer.vocabSize > vocabSize) {
    throw new ModelError("WrongTokenizer", `tokenizer: expected at most ${vocabSize} tokens, as vocab_size in config.json, found ${tokenizer.vocabSize}. Use the tokenizer that the model was trained with.`);
  }
  const found = tokenizer.id("<|mask|>");
  if (found === maskId) return;
  throw new ModelError("WrongTokenizer", `tokenizer: expected <|mask|> at id ${maskId}, as mask_token_id in config.json, found it at ${found}. Use the tokenizer that the model was trained with.`);
}
