import { decode, decodeOptionsOf, type BlockSampler, type DecodingSettings, type ModelConfig, type Sampler } from "@diffucoder/model";
import type { StreamKey } from "@diffucoder/random";
import { END_OF_TURN, answerText } from "@diffucoder/tasks";
import type { Tokenizer } from "@diffucoder/tokenizer";

/** A decoded answer. */
export interface DecodedAnswer {
  readonly text: string;
  /** Positions behind the prompt, counted from 0, in the order they were fixed. */
  readonly order: readonly number[];
  /** Step that fixed each position behind the prompt; after an early stop only of those up to the end marker, as in `order` and `confidences`. */
  readonly trace: readonly number[];
  /** How sure the model was of each position when it was fixed, to four digits. */
  readonly confidences: readonly number[];
  /** Entropy of each position at the first pass, in nats, to four decimals; undefined unless asked for. */
  readonly firstEntropies: readonly number[] | undefined;
  /** Positions up to and including the end marker. */
  readonly liveLength: number;
}

export interface DecodingOptions {
  readonly settings: DecodingSettings;
  readonly temperature: number;
  /** Whether to keep the first pass' entropies. */
  readonly keepFirstPass?: boolean;
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly streamOf: (prompt: number) => StreamKey;
  /** Called before each denoising step. */
  readonly onStep: () => void;
}

/** Decodes one answer for each prompt of a batch. */
export function decodeAnswers(sampler: Sampler | BlockSampler, prompts: readonly Uint32Array[], options: DecodingOptions): DecodedAnswer[] {
  const { settings, model, tokenizer, ...rest } = options;
  const endId = tokenizer.id(END_OF_TURN);
  const decoded = decode(sampler, { ...decodeOptionsOf(settings, { ...model, endId }), ...rest, prompts });
  return decoded.map(({ tokens, promptLength, order, trace, confidence, firstEntropy }) => {
    const end = tokens.indexOf(endId, promptLength);
    const text = answerText(tokens, promptLength, tokenizer, [model.padId, model.maskId]);
    const liveLength = (end === -1 ? tokens.length : end + 1) - promptLength;
    const decodedLength = trace.includes(NEVER) ? liveLength : trace.length;
    return {
      text,
      order: order.filter((position) => position < decodedLength),
      trace: [...trace.subarray(0, decodedLength)],
      confidences: Array.from(confidence.subarray(0, decodedLength), (value) => Number(value.toPrecision(4))),
      firstEntropies: firstEntropy === undefined ? undefined : Array.from(firstEntropy, (nats) => Number(nats.toFixed(4))),
      liveLength,
    };
  });
}

/** In a trace, a position that decoding stopped before. */
const NEVER = -1;
