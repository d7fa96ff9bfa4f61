import { expect, test } from "vitest";
import { renderReportPage } from "./report-page.ts";
import type { CheckpointScores, EvaluationReport } from "./report.ts";

const scores = (changes: Partial<CheckpointScores> = {}): CheckpointScores => ({
  role: "candidate",
  stage: "coupled-grpo",
  step: 20,
  digest: "0123456789abcdef".repeat(4),
  greedy: { mean: 0.6, interval: [0.52, 0.684] },
  sampled: { mean: 0.5, interval: [0.41, 0.59] },
  passAtK: [{ k: 1, mean: 0.5 }, { k: 4, mean: 0.8125 }],
  arness: { local: [{ k: 1, mean: 0.41237 }], global: [{ k: 1, mean: 0.51239 }, { k: 4, mean: 0.75 }] },
  arnessOfAnswer: { local: [{ k: 1, mean: 0.1 }], global: [{ k: 1, mean: 0.2 }] },
  verdicts: { failed: 3, passed: 5 },
  ...changes,
});

const report = (changes: Partial<EvaluationReport> = {}): EvaluationReport => ({
  seed: 7,
  tasks: { count: 128, families: ["named", "linear"] },
  samples: { perTask: 8, temperature: 0.9 },
  checkpoints: [scores({ role: "baseline", stage: "instruction-tuning", step: 100, verdicts: { "syntax": 8 } }), scores()],
  training: [{ stage: "pretraining", steps: 500, tokens: 1, validationLossAtStart: 6.93147, validationLossAtEnd: 3.2, uniformLoss: 6.9314718 }],
  difference: { mean: 0.12, interval: [0.04, 0.2] },
  ...changes,
});

/** What a reader sees, one line for each element. */
const textOf = (page: string) => page.replace(/<style>[\s\S]*<\/style>/, "").replace(/<[^>]+>/g, "\n").replace(/\s*\n\s*/g, "\n");

test("the page says what was measured, on what", () => {
  const text = textOf(renderReportPage(report()));
  expect(text).toContain("Seed 7; 128 held-out tasks (named, linear);\n8 samples a task at temperature 0.9.\nIntervals are 95 % bootstrap intervals over tasks.");
  expect(text).toContain("candidate\ncoupled-grpo, step 20\n0123456789ab\n60.0 %\n52.0 % to 68.4 %\n50.0 %\n41.0 % to 59.0 %\n50.0 %\nk = 1\n81.3 %\nk = 4\n0.412\nk = 1\n0.512\nk = 1\n0.750\nk = 4\n");
  expect(text).toContain("baseline\ninstruction-tuning, step 100\n");
  expect(text).toContain("greedy pass@1\nsampled pass@1\npass@1\npass@4\nlocal AR-ness\nglobal AR-ness\n");
  expect(text).toContain("Training\nsteps\nvalidation loss at start\nat end\nuniform guess, ln V\npretraining\n500\n6.931\n3.200\n6.931\n");
  expect(text).toContain("Verdicts of all samples\nbaseline\nsyntax 8\ncandidate\nfailed 3, passed 5\n");
});

test.each<[string, [number, number], boolean]>([
  ["well above zero", [0.04, 0.2], true],
  ["well below zero", [-0.2, -0.04], true],
  ["around zero", [-0.01, 0.25], false],
  ["from zero on", [0, 0.25], false],
  ["up to zero", [-0.25, 0], false],
])("a difference %s is told from chance as it is", (_, interval, isClear) => {
  const text = textOf(renderReportPage(report({ difference: { mean: 0.12, interval } })));
  expect(text).toMatch(/Sampled pass@1 of the candidate minus the baseline: \+12\.0 points \([+-]?\d+\.\d points to [+-]?\d+\.\d points\)/);
  expect(text.includes("zero is inside the interval, so this may be chance")).toBe(!isClear);
});

test("a difference carries its sign", () => {
  const { difference: _, ...alone } = report();
  expect(textOf(renderReportPage(report({ difference: { mean: -0.035, interval: [-0.08, 0] } })))).toContain("baseline: -3.5 points (-8.0 points to 0.0 points)");
  expect(renderReportPage(alone)).not.toContain("minus the baseline");
});

test("what is not there is left out", () => {
  const page = renderReportPage(report({ training: [] }));
  for (const heading of ["Training", "HumanEval"]) expect(page).not.toContain(heading);
});

test("HumanEval is told for each checkpoint that has it", () => {
  const humaneval = { passAt1: { mean: 0.25, interval: [0.1, 0.4] as const }, tasks: 164, verdicts: { "prompt-too-long": 4, passed: 41 } };
  const text = textOf(renderReportPage(report({ checkpoints: [scores({ role: "baseline" }), scores({ humaneval })] })));
  expect(text).toContain("HumanEval\ngreedy pass@1\ntasks\nverdicts\ncandidate\n25.0 %\n10.0 % to 40.0 %\n164\nprompt-too-long 4, passed 41\n");
});

test("names from outside cannot become markup", () => {
  const evil = `<script>alert("x")</script>&'`;
  const page = renderReportPage(
    report({
      tasks: { count: 1, families: [evil] },
      checkpoints: [scores({ stage: evil, verdicts: { [evil]: 1 }, humaneval: { passAt1: { mean: 0, interval: [0, 0] }, tasks: 1, verdicts: { [evil]: 1 } } })],
      training: [{ ...report().training[0]!, stage: evil }],
    }),
  );
  expect(page).not.toContain("<script");
  expect(page.split("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;'")).toHaveLength(6);
});

test("the page stands by itself, in light and dark, on any screen", () => {
  const page = renderReportPage(report());
  expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
  expect(page).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
  expect(page).toContain('<meta charset="utf-8">');
  expect(page).toContain("color-scheme: light dark");
  expect(page).not.toMatch(/https?:|src=|href=|@import|url\(|<script|<link/);
  expect(page.match(/<table>/g)).toHaveLength(page.match(/<div class="scroll"><table>/g)!.length);
  expect(page).toContain(".scroll { overflow-x: auto; }");
  for (const tag of ["table", "tr", "td", "th", "p", "h2", "div", "small"]) {
    expect([tag, page.split(`<${tag}>`).length + page.split(`<${tag} `).length - 2]).toEqual([tag, page.split(`</${tag}>`).length - 1]);
  }
});
