import type { CodeTask } from "./code-task.ts";

/** ChatML up to where the answer begins. Encode with special tokens recognised. */
export function renderPrompt(task: Pick<CodeTask, "instruction">): string {
  return `<|im_start|>user\n${task.instruction}<|im_end|>\n<|im_start|>assistant\n`;
}

/** The answer in the only form the format reward accepts in full, with its end marker. */
export function renderCompletion(task: Pick<CodeTask, "solution">): string {
  return `\`\`\`python\n${task.solution}\`\`\`\n${END_OF_TURN}`;
}

export const END_OF_TURN = "<|im_end|>";

/**
 * The program inside a completion: text without a fence, one fenced Python block, and nothing behind it but a line end.
 *
 * @returns undefined when the completion has any other form
 * @source open-r1's code format reward as DiffuCoder uses it (arXiv:2506.20639v2, section 4.1)
 */
export function extractProgram(completion: string): string | undefined {
  return /^(?:(?!```)[\s\S])*```python\n((?:(?!```)[\s\S])*)```\n$/.exec(completion)?.[1];
}

/** What `answerText` needs of a tokenizer. */
interface Vocabulary {
  id(token: string): number;
  decode(ids: Iterable<number>, options: { readonly unknownAs: string }): string;
}

/** What a row of the model without a token reads as in an answer, which may choose it: no program has it. */
export const UNKNOWN_TEXT = "\ufffd";

/**
 * Text of an answer on a canvas: from the prompt's end to the first end marker, filler left out.
 *
 * @param tokens the whole canvas
 * @param filler ids that stand for no text, such as the pad and mask tokens
 */
export function answerText(tokens: Int32Array, promptLength: number, vocabulary: Vocabulary, filler: readonly number[]): string {
  const answer = tokens.subarray(promptLength);
  const end = answer.indexOf(vocabulary.id(END_OF_TURN));
  const live = end === -1 ? answer : answer.subarray(0, end);
  return vocabulary.decode(live.filter((id) => !filler.includes(id)), { unknownAs: UNKNOWN_TEXT });
}
