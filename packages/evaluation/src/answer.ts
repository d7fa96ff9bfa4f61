import { decode, type ModelConfig, type Sampler } from "@diffucoder/model";
import type { StreamKey } from "@diffucoder/random";
import { END_OF_TURN, answerText } from "@diffucoder/tasks";
import type { Tokenizer } from "@diffucoder/tokenizer";

/** A decoded answer. */
export interface DecodedAnswer {
  readonly text: string;
  /** Positions behind the prompt, counted from 0, in the order they were fixed. */
  readonly order: readonly number[];
  /** Positions up to and including the end marker. */
  readonly liveLength: number;
}

export type DecodingOptions = Omit<Parameters<typeof decode>[1], "prompts" | "maskId" | "streamOf"> & {
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly streamOf: (prompt: number) => StreamKey;
  /** Called before each batch with the number of answers there are. */
  readonly onBatch: (done: number) => Promise<void>;
  /** Called before each denoising step. */
  readonly onStep: () => void;
};

/** Decodes one answer for each prompt, a batch at a time. */
export async function decodeAnswers(sampler: Sampler, prompts: readonly Uint32Array[], options: DecodingOptions): Promise<DecodedAnswer[]> {
  const { model, tokenizer, streamOf, onBatch, onStep, ...decoding } = options;
  const { maskId, padId } = model;
  const endId = tokenizer.id(END_OF_TURN);
  const logitsOf = (tokens: Int32Array) => {
    onStep();
    return sampler.logitsOf(tokens);
  };
  const answers: DecodedAnswer[] = [];
  for (let start = 0; start < prompts.length; start += sampler.batchSize) {
    await onBatch(start);
    const batch = { prompts: prompts.slice(start, start + sampler.batchSize), streamOf: (prompt: number) => streamOf(start + prompt) };
    for (const { tokens, promptLength, order } of decode({ ...sampler, logitsOf }, { ...decoding, ...batch, maskId })) {
      const end = tokens.indexOf(endId, promptLength);
      const text = answerText(tokens, promptLength, tokenizer, [padId, maskId]);
      answers.push({ text, order, liveLength: (end === -1 ? tokens.length : end + 1) - promptLength });
    }
  }
  return answers;
}
