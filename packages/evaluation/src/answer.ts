import { decode, type DecodedCanvas, type ModelConfig, type Sampler } from "@diffucoder/model";
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

/** Decodes one answer for each prompt. */
export function decodeAnswers(
  sampler: Sampler,
  prompts: readonly Uint32Array[],
  options: Omit<Parameters<typeof decode>[1], "prompts" | "maskId" | "streamOf"> & {
    readonly model: ModelConfig;
    readonly tokenizer: Tokenizer;
    readonly streamOf: (prompt: number) => StreamKey;
  },
): DecodedAnswer[] {
  const { model, tokenizer, ...decoding } = options;
  const endId = tokenizer.id(END_OF_TURN);
  return decode(sampler, { ...decoding, prompts, maskId: model.maskId }).map(({ tokens, promptLength, order }: DecodedCanvas) => {
    const end = tokens.indexOf(endId, promptLength);
    return {
      text: answerText(tokens, promptLength, tokenizer, [model.padId, model.maskId]),
      order,
      liveLength: (end === -1 ? tokens.length : end + 1) - promptLength,
    };
  });
}
