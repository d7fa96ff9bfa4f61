import type { BenchmarkTask, PromptStyle } from "./benchmark-task.ts";
import { TasksError } from "./errors.ts";

/**
 * The paper's prompt for a task of a benchmark, with the beginning of the answer given.
 *
 * @throws TasksError `BenchmarkCorrupt` when the benchmark has no prompt of that style
 * @source DiffuCoder, arXiv:2506.20639v2, appendix (evaluation prompts)
 */
export function renderBenchmarkPrompt({ id, prompts }: Pick<BenchmarkTask, "id" | "prompts">, style: PromptStyle): string {
  const prompt = prompts[style];
  if (prompt === undefined) throw new TasksError("BenchmarkCorrupt", `task ${id}: expected a prompt of style ${style}, found ${Object.keys(prompts).join(", ")} only`);
  return (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" +
    `<|im_start|>user\n${style === "complete" ? "Please complete the following problem:\n" : ""}\`\`\`\n${prompt.trim()}\n\`\`\`\n<|im_end|>\n` +
    "<|im_start|>assistant\nHere is the code to solve this problem:\n```python\n"
  );
}

/**
 * The program in an answer whose opening fence was given: everything before the closing one, or all of it where that is
 * missing. An answer that goes on inside the function, which its indentation shows, is put behind the prompt.
 */
export function programOfAnswer({ completionPrefix }: Pick<BenchmarkTask, "completionPrefix">, completion: string): string {
  const end = completion.indexOf("```");
  const code = end === -1 ? completion : completion.slice(0, end);
  return isIndented(code) ? completionPrefix + code : code;
}

/** Whether the first line that holds something is indented. */
function isIndented(code: string): boolean {
  return /^[ \t]/.test(firstLineOf(code));
}

/** Whether a text begins inside a function, or as a module does. */
function beginsWithCode(text: string): boolean {
  return isIndented(text) || /^(?:def|async def|class|import) \w|^from [\w.]+ import |^@\w|^#/.test(firstLineOf(text));
}

/** The first line that holds something; empty when none does. */
function firstLineOf(text: string): string {
  return text.split("\n").find((line) => line.trim() !== "") ?? "";
}

/**
 * The program in a text of another kind of model, such as a chat's: the first fenced block. Where no fence closes it, it
 * goes to the end of the text; where no fence opens it, since the prompt did, it begins with the text: then a bare fence
 * follows what is code by its first line.
 */
export function programOfText(text: string): string {
  const opened = /^[ \t]*```[ \t]*(python3?|py)?[ \t]*\r?\n(?=[\s\S]*\S)/im.exec(text);
  const isClosing = opened !== null && opened[1] === undefined && beginsWithCode(text.slice(0, opened.index));
  const body = opened === null || isClosing ? text : text.slice(opened.index + opened[0].length);
  const closed = /^[ \t]*```/m.exec(body);
  return closed === null ? body : body.slice(0, closed.index);
}
