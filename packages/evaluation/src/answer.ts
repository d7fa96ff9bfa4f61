import { decode, type ModelConfig, type Sampler } from "@diffucoder/model";
import type { StreamKey } from "@diffucoder/random";
import { END_OF_TURN, answerText } from "@diffucoder/tasks";
import type { Tokenizer } from "@diffucoder/tokenizer";

/** A decoded answer. */
export interface DecodedAnswer {
  readonly text: string;
  /** Positions behind the prompt, counted from 0, in the order they were fixed. */
  readonly order: readonly number[];
  /** Step that fixed each position behind the prompt. */
  readonly trace: readonly number[];
  /** How sure the model was of each position when it was fixed, to four digits. */
  readonly confidences: readonly number[];
  /** Positions up to and including the end marker. */
  readonly liveLength: number;
}

export type DecodingOptions = Omit<Parameters<typeof decode>[1], "prompts" | "maskId" | "streamOf"> & {
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly streamOf: (prompt: number) => StreamKey;
  /** Called before each denoising step. */
  readonly onStep: () => void;
};

/** Decodes one answer for each prompt of a batch. */
export function decodeAnswers(sampler: Sampler, prompts: readonly Uint32Array[], options: DecodingOptions): DecodedAnswer[] {
  const { model, tokenizer, ...decoding } = options;
  const { maskId, padId } = model;
  const endId = tokenizer.id(END_OF_TURN);
  return decode(sampler, { ...decoding, prompts, maskId }).map(({ tokens, promptLength, order, trace, confidence }) => {
    const end = tokens.indexOf(endId, promptLength);
    const text = answerText(tokens, promptLength, tokenizer, [padId, maskId]);
    const confidences = Array.from(confidence, (value) => Number(value.toPrecision(4)));
    return { text, order, trace: [...trace], confidences, liveLength: (end === -1 ? tokens.length : end + 1) - promptLength };
  });
}
