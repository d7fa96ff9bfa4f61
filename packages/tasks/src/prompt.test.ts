import fc from "fast-check";
import { expect, test } from "vitest";
import { answerText, END_OF_TURN, extractProgram, renderCompletion, renderPrompt } from "./prompt.ts";

const PROGRAM = "def f(x):\n    return x\n";

test("a prompt is one ChatML turn of the user, up to where the answer begins", () => {
  expect(renderPrompt({ instruction: "NAMED ADD 3 MUL 2" })).toBe("<|im_start|>user\nNAMED ADD 3 MUL 2<|im_end|>\n<|im_start|>assistant\n");
});

test("a completion is the solution as one fenced block, closed by the end of the turn", () => {
  expect(renderCompletion({ solution: PROGRAM })).toBe("```python\ndef f(x):\n    return x\n```\n<|im_end|>");
});

test("a rendered completion is read back, whatever the program, as long as it has no fence", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("a", " ", "\n", "`", "``", "'", "é", "\u2028", "$"), { maxLength: 20 }).map((parts) => `${parts.join("")}\n`), (solution) => {
      fc.pre(!solution.includes("```"));
      const answer = renderCompletion({ solution }).slice(0, -END_OF_TURN.length);
      expect(extractProgram(answer)).toBe(solution);
      expect(extractProgram(`Some words\nbefore it.\n${answer}`)).toBe(solution);
    }),
  );
});

test.each([
  ["text on the fence's line", "Here: ```python\na\n```\n", "a\n"],
  ["single and double backticks in the text and the program", "`x` and ``y``:\n```python\na = '``'\n```\n", "a = '``'\n"],
  ["a program without a last line end", "```python\na```\n", "a"],
  ["a program of nothing", "```python\n```\n", ""],
  ["a program of blank lines", "```python\n\n\n```\n", "\n\n"],
  ["Windows line ends within the program", "```python\na\r\nb\n```\n", "a\r\nb\n"],
])("a program is found with %s", (_, completion, program) => {
  expect(extractProgram(completion)).toBe(program);
});

test.each([
  ["nothing", ""],
  ["no fence", PROGRAM],
  ["a fence that is not closed", `\`\`\`python\n${PROGRAM}`],
  ["a closing fence only", `${PROGRAM}\`\`\`\n`],
  ["two blocks", "```python\na\n```\n```python\nb\n```\n"],
  ["another block before it", "```\na\n```\n```python\nb\n```\n"],
  ["a fence within the program", '```python\na = """\n```\n"""\n```\n'],
  ["four backticks", "````python\na\n````\n"],
  ["text behind the block", "```python\na\n```\nDone."],
  ["a blank line behind the block", "```python\na\n```\n\n"],
  ["no line end behind the block", "```python\na\n```"],
  ["a Windows line end behind the block", "```python\na\n```\r\n"],
  ["a space behind the fence", "```python\na\n``` \n"],
  ["another language", "```js\na\n```\n"],
  ["no language", "```\na\n```\n"],
  ["a language that begins like Python", "```python3\na\n```\n"],
  ["Python in capitals", "```Python\na\n```\n"],
  ["a space before the language", "``` python\na\n```\n"],
  ["no line end behind the language", "```python a\n```\n"],
])("no program is found in an answer of %s", (_, completion) => {
  expect(extractProgram(completion)).toBeUndefined();
});

test("a long answer is read in no time, whether it has the form or not", () => {
  const long = "x = '`'\n".repeat(20_000);
  const start = performance.now();
  expect(extractProgram(`${long}\`\`\`python\n${long}\`\`\`\n`)).toBe(long);
  expect(extractProgram(`${long}\`\`\`python\n${long}`)).toBeUndefined();
  expect(performance.now() - start).toBeLessThan(1000);
});

/** Bytes as they are, and three special tokens. */
const SPECIALS = ["<|im_end|>", "<|mask|>", "<|pad|>"];
const vocabulary = {
  id: (token: string) => 256 + SPECIALS.indexOf(token),
  decode: (ids: Iterable<number>, { unknownAs }: { unknownAs: string }) => [...ids].map((id) => (id < 256 ? String.fromCharCode(id) : (SPECIALS[id - 256] ?? unknownAs))).join(""),
};
const [END, MASK, PAD] = SPECIALS.map(vocabulary.id) as [number, number, number];
const canvas = (...parts: (string | number)[]) => Int32Array.from(parts.flatMap((part) => (typeof part === "number" ? [part] : [...Buffer.from(part)])));

test("an answer begins behind the prompt, ends at the first end of turn and leaves out filler", () => {
  const tokens = canvas("ask", "an", MASK, "s", PAD, "wer", END, "more", END, PAD);
  expect(answerText(tokens, 3, vocabulary, [MASK, PAD])).toBe("answer");
  expect(answerText(tokens, 3, vocabulary, [PAD])).toBe("an<|mask|>swer");
});

test("a row of the model without a token, which sampling may choose, is text that no program has", () => {
  expect(answerText(canvas("ask", "an", 300, "swer", END), 3, vocabulary, [PAD])).toBe("an\ufffdswer");
});

test("an answer without an end runs to the end of the canvas", () => {
  expect(answerText(canvas("ask", "answer", PAD), 3, vocabulary, [PAD])).toBe("answer");
});

test("an end of turn in the prompt does not end the answer; one at its beginning leaves nothing", () => {
  expect(answerText(canvas("a", END, "yes", END), 2, vocabulary, [])).toBe("yes");
  expect(answerText(canvas("ask", END, "no"), 3, vocabulary, [])).toBe("");
  expect(answerText(canvas("ask"), 3, vocabulary, [])).toBe("");
});
