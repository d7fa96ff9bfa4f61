import fc from "fast-check";
import { expect, test } from "vitest";
import { programOfAnswer, programOfText, renderBenchmarkPrompt } from "./benchmark-prompt.ts";

const PREFILL = "assistant\nHere is the code to solve this problem:\n```python\n";
const SYSTEM = "system\nYou are a helpful assistant.<|im_end|>\n";
const turns = (text: string) => text.split("<|im_start|>").slice(1);

test("a function to complete is shown as in the paper: system line, sentence, fenced problem, the answer begun", () => {
  const task = { id: "T", prompts: { complete: '\n\ndef f(x):\n    """Doc."""\n\n' } };
  expect(turns(renderBenchmarkPrompt(task, "complete"))).toEqual([SYSTEM, 'user\nPlease complete the following problem:\n```\ndef f(x):\n    """Doc."""\n```\n<|im_end|>\n', PREFILL]);
});

test("a task in words is shown as in the paper: only the fenced words", () => {
  const task = { id: "T", prompts: { instruct: "Write f.\n" } };
  expect(turns(renderBenchmarkPrompt(task, "instruct"))).toEqual([SYSTEM, "user\n```\nWrite f.\n```\n<|im_end|>\n", PREFILL]);
  expect(() => renderBenchmarkPrompt(task, "complete")).toThrow("task T: expected a prompt of style complete, found instruct only");
});

test.each([
  ["a closed fence ends it", "def g(x):\n    return x\n```\nDone\n```", "def g(x):\n    return x\n"],
  ["without one it is everything", "def g(x): ...", "def g(x): ..."],
  ["nothing is nothing", "", ""],
  ["an empty block is empty", "```", ""],
  ["an indented beginning goes behind the prompt", "    return x\n```", "PROMPT\n    return x\n"],
  ["blank lines before it do not matter", "\n\n\treturn x", "PROMPT\n\n\n\treturn x"],
  ["a later indent does", "\ndef g():\n    pass", "\ndef g():\n    pass"],
])("the program of an answer: %s", (_, completion, program) => {
  expect(programOfAnswer({ completionPrefix: "PROMPT\n" }, completion)).toBe(program);
});

test.each([
  ["no fence", "def f(): pass", "def f(): pass"],
  ["a closed fence", "Sure!\n```python\ndef f(): pass\n```\nDone.", "def f(): pass\n"],
  ["a fence half open", "Sure!\n```python\ndef f(): pass\n", "def f(): pass\n"],
  ["a closing fence alone", "def f(): pass\n```", "def f(): pass\n"],
  ["a closing fence alone, and words", "    return x\n```\nDone.\n", "    return x\n"],
  ["a closing fence alone, and an example", "import re\ndef f(): pass\n```\nUse:\n```python\nf()\n```\n", "import re\ndef f(): pass\n"],
  ["words before a bare fence", "Here:\n```\ndef f(): pass", "def f(): pass"],
  ["two blocks: the first", "```py\na = 1\n```\n```python\nb = 2\n```", "a = 1\n"],
  ["a fence without a language, Windows lines", "```\r\na = 1\r\n```", "a = 1\r\n"],
  ["an empty block", "```python\n```", ""],
  ["a fence inside a line is text", 'x = "```python"', 'x = "```python"'],
  ["nothing", "", ""],
])("a program in a text with %s", (_, text, program) => {
  expect(programOfText(text)).toBe(program);
});

test("whatever the text, extraction gives a part of it", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constantFrom("```", "```python\n", "\n", "\r\n", "x = 1", "  "), fc.string())).map((parts) => parts.join("")), (text) => {
      expect(text).toContain(programOfText(text));
      expect(text).toContain(programOfAnswer({ completionPrefix: "" }, text));
    }),
  );
});
