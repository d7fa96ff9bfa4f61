import { architectureSchema, type ModelConfig } from "@diffucoder/model";
import { generateTasks, renderCompletion, renderPrompt } from "@diffucoder/tasks";
import { trainTokenizer, type Tokenizer } from "@diffucoder/tokenizer";

/** Forty functions, twelve of them different. */
export const SMALL_FUNCTIONS: readonly string[] = Array.from({ length: 40 }, (_, i) => `def f${i % 4}(x):\n    return x + ${i % 3}\n`);

/** A tokenizer of the small functions. @param vocabSize two vocabularies of one text are two tokenizers */
export const tokenizerOf = (vocabSize: number): Promise<Tokenizer> => trainTokenizer(SMALL_FUNCTIONS, { vocabSize });

/** A tokenizer of tasks of the family `linear`: 14 tokens of prompt, 29 of answer. */
export const taskTokenizer = (seed: number): Promise<Tokenizer> =>
  trainTokenizer(
    generateTasks({ families: ["linear"], split: "train", count: 64, seed }).map((task) => renderPrompt(task) + renderCompletion(task)),
    { vocabSize: 400 },
  );

/** What a model knows of its tokenizer. */
export type Vocabulary = Pick<ModelConfig, "vocabSize" | "maskId" | "padId">;

/** One layer, 16 wide: learns in some steps, and each takes about a millisecond. */
export const tinyModel = (vocabulary: Tokenizer | Vocabulary, changes: Partial<ModelConfig> = {}): ModelConfig => ({
  ...architectureSchema.parse({ hiddenSize: 16, intermediateSize: 32, layers: 1, heads: 2, kvHeads: 1, initializerRange: 0.1 }),
  maxPositions: 16,
  ...("id" in vocabulary ? { vocabSize: vocabulary.vocabSize, maskId: vocabulary.id("<|mask|>"), padId: vocabulary.id("<|dlm_pad|>") } : vocabulary),
  ...changes,
});
