import { expect, test } from "vitest";
import { judge } from "./judge.ts";
import type { AnswerVerdict } from "./question.ts";

const right: AnswerVerdict = { status: "passed", cause: "all checks passed" };
const wrong: AnswerVerdict = { status: "failed", cause: "assertion" };

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
    return item === "b" && asked.filter((earlier) => earlier === "b").length === 1 ? null : item === "c" ? wrong : right;
  });
  expect(asked).toEqual(["a", "b", "c", "b"]);
  expect(scores).toEqual([right, right, wrong]);
});

test("two faults on an item are an error, never a wrong answer", async () => {
  await expect(judge(["a", "b"], async (item) => (item === "b" ? right : null))).rejects.toMatchObject({ details: { count: 1, total: 2 } });
  const refusal = judge(["a", "b", "c"], async (item) => (item === "b" ? right : null));
  await expect(refusal).rejects.toMatchObject({
    code: "UnscoredAnswers",
    retryable: true,
    details: { count: 2, total: 3 },
    message: "evaluation: expected a verdict for each of 3 answers, found sandbox faults for 2. Run `diffucoder doctor`, then `diffucoder retry`.",
  });
});
