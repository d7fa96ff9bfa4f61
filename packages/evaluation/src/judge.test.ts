import { expect, test } from "vitest";
import type { NoVerdict } from "@diffucoder/tasks";
import { judge } from "./judge.ts";
import type { AnswerVerdict } from "./question.ts";

const right: AnswerVerdict = { status: "passed", cause: "all checks passed" };
const wrong: AnswerVerdict = { status: "failed", cause: "assertion" };
const fault: NoVerdict = { status: null, faultOf: "sandbox", cause: "the sandbox failed: no answer" };

test("scores come in the order of the items, asked side by side", async () => {
  let atWork = 0;
  let most = 0;
  const scores = await judge([3, 1, 2], async (item) => {
    most = Math.max(most, ++atWork);
    await new Promise((resolve) => setTimeout(resolve, item));
    atWork--;
    return { ...right, cause: String(item) };
  });
  expect(scores.map(({ cause }) => cause)).toEqual(["3", "1", "2"]);
  expect(most).toBe(3);
  expect(await judge([], async () => right)).toEqual([]);
});

test("items that the sandbox failed on are asked once more, and only those", async () => {
  const asked: string[] = [];
  const scores = await judge(["a", "b", "c"], async (item) => {
    asked.push(item);
    return item === "b" && asked.filter((earlier) => earlier === "b").length === 1 ? fault : item === "c" ? wrong : right;
  });
  expect(asked).toEqual(["a", "b", "c", "b"]);
  expect(scores).toEqual([right, right, wrong]);
});

test("two faults on an item are an error, never a wrong answer", async () => {
  await expect(judge(["a", "b"], async (item) => (item === "b" ? right : fault))).rejects.toMatchObject({ details: { count: 1, total: 2 } });
  const refusal = judge(["a", "b", "c"], async (item) => (item === "b" ? right : fault));
  await expect(refusal).rejects.toMatchObject({
    code: "UnscoredAnswers",
    retryable: true,
    details: { count: 2, total: 3, causes: ["the sandbox failed: no answer"] },
    message: "evaluation: expected a verdict for each of 3 answers, found none for 2: the sandbox failed: no answer. Run `diffucoder doctor`, then `diffucoder retry`.",
  });
});

test("checks that judge no program are not tried again: the task is named as the fault, and no retry offered", async () => {
  let asked = 0;
  const cause = "the task's checks judge no program: check 0 does not compile";
  await expect(judge([1, 2], async () => (asked++, { status: null, faultOf: "task", cause }))).rejects.toMatchObject({
    retryable: false,
    message: `evaluation: expected a verdict for each of 2 answers, found none for 2: ${cause}. Correct the tasks, or leave them out.`,
  });
  expect(asked).toBe(2);
});
