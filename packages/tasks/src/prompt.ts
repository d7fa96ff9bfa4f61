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
