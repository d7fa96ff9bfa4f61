import { expect, test } from "vitest";
import { temporaryFile } from "../test/temporary-file.ts";
import { readSamples } from "./samples.ts";

const read = async (...lines: unknown[]) => readSamples(await temporaryFile("samples.jsonl", lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n")));

test("solutions and completions are read, repeated tasks too, keys of no use passed over", async () => {
  const where = (line: number) => expect.stringMatching(new RegExp(`samples\\.jsonl:${line}$`)) as string;
  expect(await read({ task_id: "T/0", completion: "a", extra: 1 }, "", { task_id: "T/0", solution: "b" }, { task_id: 7, solution: "c", completion: "d" }, { task_id: "T/1", completion: "" })).toEqual([
    { taskId: "T/0", form: "completion", text: "a", where: where(1) },
    { taskId: "T/0", form: "solution", text: "b", where: where(3) },
    { taskId: "7", form: "solution", text: "c", where: where(4) },
    { taskId: "T/1", form: "completion", text: "", where: where(5) },
  ]);
});

test.each<[string, unknown, RegExp]>([
  ["lacks an answer", { task_id: "T/0" }, /samples\.jsonl:2: expected a sample; .*expected a solution or a completion/],
  ["lacks a task", { solution: "" }, /samples\.jsonl:2: expected a sample; .*\s+→ at task_id/],
  ["has an empty task", { task_id: "", solution: "" }, /samples\.jsonl:2: expected a sample; .*\s+→ at task_id/],
  ["has a list of answers", { task_id: "T/0", solution: ["a"] }, /samples\.jsonl:2: expected a sample; .*\s+→ at solution/],
  ["is a list", [], /samples\.jsonl:2: expected a sample; /],
  ["is null", null, /samples\.jsonl:2: expected a sample; /],
  ["is no JSON", "{'task_id': 1}", /samples\.jsonl:2: expected JSON, found SyntaxError/],
])("a line that %s is named by file and number", async (_, line, message) => {
  await expect(read({ task_id: "T/0", solution: "" }, line)).rejects.toMatchObject({ code: "SamplesCorrupt", message: expect.stringMatching(message) as string });
});

test("a file without samples is no score of zero", async () => {
  await expect(read("")).rejects.toMatchObject({ code: "SamplesCorrupt", message: expect.stringMatching(/expected samples, found none$/) as string });
});
