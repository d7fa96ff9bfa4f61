import { expect, test } from "vitest";
import { renderReportPage } from "./report-page.ts";
import type { BenchmarkScores, CheckpointScores, EvaluationReport } from "./report.ts";

const scores = (changes: Partial<BenchmarkScores> = {}): BenchmarkScores => ({
  benchmark: "held-out",
  scores: [
    { temperature: 0, samplesPerTask: 1, passAtK: [{ k: 1, mean: 0.6, interval: [0.52, 0.684] }] },
    { temperature: 0.9, samplesPerTask: 8, passAtK: [{ k: 1, mean: 0.5, interval: [0.41, 0.59] }, { k: 4, mean: 0.8125, interval: [0.7, 0.9] }] },
  ],
  arness: { local: [{ k: 1, mean: 0.41237 }], global: [{ k: 1, mean: 0.51239 }, { k: 4, mean: 0.75 }] },
  arnessOfAnswer: { local: [{ k: 1, mean: 0.1 }], global: [{ k: 1, mean: 0.2 }] },
  verdicts: { failed: 3, passed: 5 },
  ...changes,
});

const checkpoint = (changes: Partial<CheckpointScores> = {}): CheckpointScores => ({
  role: "candidate",
  stage: "coupled-grpo",
  step: 20,
  digest: "0123456789abcdef".repeat(4),
  benchmarks: [scores()],
  ...changes,
});

const DECODING = { canvasLength: 64, steps: 8, algorithm: "entropy", topP: 1, batchSize: 2 } as const;

const report = (changes: Partial<EvaluationReport> = {}): EvaluationReport => ({
  seed: 7,
  benchmarks: [{ name: "held-out", tasks: 128, skipped: [], decoding: DECODING }],
  checkpoints: [checkpoint({ role: "baseline", stage: "instruction-tuning", step: 100, benchmarks: [scores({ verdicts: { syntax: 8 } })] }), checkpoint()],
  training: [{ stage: "pretraining", steps: 500, tokens: 1, validationLossAtStart: 6.93147, validationLossAtEnd: 3.2, uniformLoss: 6.9314718 }],
  differences: [{ benchmark: "held-out", temperature: 0.9, mean: 0.12, interval: [0.04, 0.2] }],
  ...changes,
});

/** What a reader sees, one line for each element. */
const textOf = (page: string) => page.replace(/<style>[\s\S]*<\/style>/, "").replace(/<[^>]+>/g, "\n").replace(/\s*\n\s*/g, "\n");

test("the page says what was measured, on what", () => {
  const text = textOf(renderReportPage(report()));
  expect(text).toContain("Seed 7. Intervals are 95 % bootstrap intervals over tasks. Where all tasks score alike, resampling has nothing to vary and an interval has no width: that is no certainty.");
  expect(text).toContain("\nDecoded in 8 steps on a canvas of 64 tokens, entropy.\n");
  expect(text).not.toContain("not begun");
  expect(text).toContain("held-out, 128 tasks\ngreedy\n8 samples, T = 0.9\nlocal AR-ness\nglobal AR-ness\nverdicts\n");
  expect(text).toContain(
    "candidate\ncoupled-grpo, step 20\n0123456789ab\n60.0 %\n52.0 % to 68.4 %\nk = 1\n50.0 %\n41.0 % to 59.0 %\nk = 1\n81.3 %\n70.0 % to 90.0 %\nk = 4\n0.412\nk = 1\n0.512\nk = 1\n0.750\nk = 4\nfailed 3, passed 5\n",
  );
  expect(text).toContain("baseline\ninstruction-tuning, step 100\n");
  expect(text).toContain("Training\nsteps\nvalidation loss at start\nat end\nuniform guess, ln V\npretraining\n500\n6.931\n3.200\n6.931\n");
});

test.each<[string, [number, number], boolean]>([
  ["well above zero", [0.04, 0.2], true],
  ["well below zero", [-0.2, -0.04], true],
  ["around zero", [-0.01, 0.25], false],
  ["from zero on", [0, 0.25], false],
  ["up to zero", [-0.25, 0], false],
])("a difference %s is told from chance as it is", (_, interval, isClear) => {
  const text = textOf(renderReportPage(report({ differences: [{ benchmark: "held-out", temperature: 0.9, mean: 0.12, interval }] })));
  expect(text).toMatch(/T = 0\.9 pass@1 of the candidate minus the baseline: \+12\.0 points \([+-]?\d+\.\d points to [+-]?\d+\.\d points\)/);
  expect(text.includes("zero is inside the interval, so this may be chance")).toBe(!isClear);
});

test("a difference carries its sign, and is told only under its benchmark", () => {
  const differences = [{ benchmark: "held-out", temperature: 0, mean: -0.035, interval: [-0.08, 0] as const }];
  expect(textOf(renderReportPage(report({ differences })))).toContain("Greedy pass@1 of the candidate minus the baseline: -3.5 points (-8.0 points to 0.0 points)");
  expect(renderReportPage(report({ differences: [{ ...differences[0]!, benchmark: "humaneval" }] }))).not.toContain("minus the baseline");
});

test("training is left out where there was none", () => {
  expect(renderReportPage(report({ training: [] }))).not.toContain("Training");
});

test("a benchmark has a table of its own, with base scores, and names what was skipped", () => {
  const plus = scores({ benchmark: "humaneval+", scores: [{ temperature: 0, samplesPerTask: 1, passAtK: [{ k: 1, mean: 0.25, interval: [0.1, 0.4] }], basePassAtK: [{ k: 1, mean: 0.3, interval: [0.2, 0.5] }] }] });
  const skipped = [{ taskId: "a", missing: ["pandas", "numpy"] }, { taskId: "b", missing: ["numpy"] }];
  const [heldOut] = report().benchmarks;
  const text = textOf(renderReportPage(report({ benchmarks: [heldOut!, { name: "humaneval+", tasks: 164, skipped, decoding: DECODING }], checkpoints: [checkpoint({ benchmarks: [scores(), plus] })] })));
  expect(text).toContain("humaneval+, 164 tasks\ngreedy\nlocal AR-ness\nglobal AR-ness\nverdicts\ncandidate\ncoupled-grpo, step 20\n0123456789ab\n25.0 %\n10.0 % to 40.0 %\nk = 1\n30.0 % by the base tests alone, k = 1\n");
  expect(text).toContain("2 tasks skipped, as numpy, pandas are not here; the scores are over the others.");
});

test("answers that had no room are no silent zero", () => {
  const text = textOf(renderReportPage(report({ checkpoints: [checkpoint({ benchmarks: [scores({ verdicts: { "prompt-too-long": 2, failed: 3 } })] })] })));
  expect(text).toContain("\ncandidate: 2 of 5 answers were not begun, as their prompts leave too little of the canvas; they count as not passed.\n");
});

test("names from outside cannot become markup", () => {
  const evil = `<script>alert("x")</script>&'`;
  const page = renderReportPage(
    report({
      benchmarks: [{ name: evil, tasks: 1, skipped: [{ taskId: "a", missing: [evil] }], decoding: DECODING }],
      checkpoints: [checkpoint({ stage: evil, benchmarks: [scores({ benchmark: evil, verdicts: { [evil]: 1 } })] })],
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
