import { decode, decodeOptionsOf, type BlockSampler, type DecodingSettings, type ModelConfig, type Sampler } from "@diffucoder/model";
import type { StreamKey } from "@diffucoder/random";
import { END_OF_TURN, answerText, renderPrompt, type CodeTask } from "@diffucoder/tasks";
import type { Tokenizer } from "@diffucoder/tokenizer";

/** One sampled completion with everything needed to judge it and to draw it again. */
export interface Rollout {
  readonly task: CodeTask;
  /** The whole canvas: prompt, completion, padding. */
  readonly tokens: Int32Array; // [T]
  readonly promptLength: number;
  /** Completion tokens up to and including the first end marker; the whole rest of the canvas when there is none. */
  readonly liveLength: number;
  /** Denoising step that fixed each position behind the prompt; -1 where decoding stopped before. */
  readonly trace: Int32Array; // [T - promptLength]
  readonly completion: string;
}

export interface RolloutRecipe extends DecodingSettings {
  readonly temperature: number;
}

/** A task with its prompt as tokens. */
export interface EncodedTask {
  readonly task: CodeTask;
  readonly prompt: Uint32Array;
}

export const encodeTask = (task: CodeTask, tokenizer: Tokenizer): EncodedTask => ({
  task,
  prompt: tokenizer.encode(renderPrompt(task), { specials: true }),
});

/** Samples `groupSize` completions of each task; the completions of a task lie next to each other. */
export function rollOut(
  sampler: Sampler | BlockSampler,
  tasks: readonly EncodedTask[],
  options: {
    readonly groupSize: number;
    readonly recipe: RolloutRecipe;
    readonly model: Pick<ModelConfig, "maskId" | "padId">;
    readonly tokenizer: Tokenizer;
    readonly streamOf: (sample: number) => StreamKey;
  },
): Rollout[] {
  const { groupSize, recipe, model, tokenizer, streamOf } = options;
  const endId = tokenizer.id(END_OF_TURN);
  const repeated = tasks.flatMap((task) => Array.from({ length: groupSize }, () => task));
  const canvases = decode(sampler, { ...decodeOptionsOf(recipe, { ...model, endId }), prompts: repeated.map(({ prompt }) => prompt), temperature: recipe.temperature, streamOf });
  return canvases.map(({ tokens, promptLength, trace }, sample) => ({
    task: repeated[sample]!.task,
    tokens,
    promptLength,
    liveLength: liveLengthOf(tokens, promptLength, endId),
    trace,
    completion: answerText(tokens, promptLength, tokenizer, [model.padId, model.maskId]),
  }));
}

/** Number of completion tokens up to and including the first end marker. */
export function liveLengthOf(tokens: Int32Array, promptLength: number, endId: number): number {
  const end = tokens.indexOf(endId, promptLength);
  return (end === -1 ? tokens.length : end + 1) - promptLength;
}
