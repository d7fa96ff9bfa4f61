import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { bothCheckpoints, evaluation, sample, writeEvaluation } from "../../test/analysis-fixtures.ts";
import { analyzeEvaluations, type Analysis } from "./analyze.ts";
import { drawAnalysis } from "./draw-analysis.ts";
import type { Evaluation } from "./read-evaluation.ts";

async function analyze(...evaluations: readonly Evaluation[]): Promise<Analysis> {
  const sources = evaluations.map((each) => writeEvaluation(each));
  try {
    return await analyzeEvaluations(sources);
  } finally {
    for (const { reportPath } of sources) rmSync(dirname(reportPath), { recursive: true });
  }
}

let page: string;
let figures: readonly string[];
beforeAll(async () => {
  page = await drawAnalysis(await analyze(bothCheckpoints(4), bothCheckpoints(2)));
  figures = page.match(/<figure>[^]*?<\/figure>/g)!;
});

const textOf = (markup: string) => markup.replace(/<(style|svg)[^]*?<\/\1>/g, "").replace(/<[^>]+>/g, "\n").replace(/\s*\n\s*/g, "\n");

test("every figure is drawn and names run, seeds and n", () => {
  expect(figures.map((figure) => /<b>(.*?)\.<\/b>/.exec(figure)![1])).toEqual([
    "Local AR-ness, in order",
    "Local AR-ness, as a set",
    "Global AR-ness",
    "Local AR-ness, in order, answers alone",
    "Local AR-ness, as a set, answers alone",
    "Global AR-ness, answers alone",
    "Local AR-ness by step, k = 1",
    "Global AR-ness by step, k = 1",
    "Certainty at the first pass",
    "Certainty when fixed",
    "When positions are fixed",
    ...Array.from({ length: 4 }, () => ["Order", "Certainty"]).flat(),
    ...["A", "B", "C", "D"].map((letter) => `pass@k by temperature, ${letter}`),
    "Global AR-ness by temperature, k = 1",
    "Local AR-ness by temperature, k = 1",
    "pass@1 by denoising steps, instruction-tuning, step 5, bbbbbbbbbbbb",
    "pass@1 by denoising steps, coupled-grpo, step 5, cccccccccccc",
    "Before and after",
    "Before and after",
  ]);
  for (const figure of figures) {
    expect(figure).toMatch(/<svg [^>]*aria-label="[^"]+"[^]*<\/svg>/);
    expect(textOf(figure)).toMatch(/run evaluation\.report@run-\d.*; seed 7; n = \d+/);
    expect(textOf(figure)).toMatch(/95 % intervals|without interval/);
    expect(figure).not.toContain("NaN");
  }
});

test("a difference is told from chance as it is", () => {
  const text = textOf(page);
  expect(text).toContain("B against A: apart at k = 1, 2, 3, inside the noise elsewhere.");
  expect(text).toContain("C against A: the difference is inside the noise at each of 9 points.");
  expect(text).toContain("pass@1, greedy: +66.7 points (+33.3 points to +100.0 points). n = 6 tasks, 12 answers.");
  expect(text).toContain("local AR-ness, greedy: +0.750 (+0.750 to +0.750). n = 6 tasks, 12 answers.");
  expect(text).toContain("0 of 6 differences are inside the noise");
  expect(text).toContain("an interval has no width: that is no certainty");
  expect(text).toContain("pass@1, greedy: -16.7 points (-50.0 points to 0.0 points); zero is inside the interval, so this may be chance. n = 6 tasks, 12 answers.");
  expect(text).toContain("coupled-grpo, step 5, cccccccccccc, greedy: 2 instead of 4 steps change pass@1 by -100.0 % relative, -83.3 points (-100.0 points to -50.0 points). n = 6 tasks.");
  expect(text).toContain("instruction-tuning, step 5, bbbbbbbbbbbb, greedy: 2 instead of 4 steps change pass@1 by 0.0 % relative, 0.0 points (0.0 points to 0.0 points); zero is inside the interval, so this may be chance.");
});

test("the table says how each was decoded and what it scores", () => {
  expect(textOf(page)).toContain("B\ncoupled-grpo, step 5, cccccccccccc\n4 steps on a canvas of 16, maskgit_plus; run evaluation.report@run-4; seed 7\ngreedy 83.3 %\n50.0 % to 100.0 %\n");
});

test("the entropy sink is that of the first pass, where it was kept", async () => {
  expect(textOf(page)).toContain(`A: at the first pass, certainty sinks to half of that next to the prompt at position 1. The first 8 positions hold 100.0 %`);
  const { series } = await analyze(bothCheckpoints());
  expect(series[0]!.orders!.sink.firstPass!.byPosition.map(({ mean }) => mean)).toEqual([0, 1, 2, 2].map((nats) => expect.closeTo(Math.exp(-nats), 12) as number));
  const without = await drawAnalysis(await analyze(evaluation([sample()])));
  expect(without).not.toContain("Certainty at the first pass");
  expect(textOf(without)).toContain("A: when positions are fixed (the first pass was not kept), certainty sinks to half of that next to the prompt at position 3.");
});

test("every setting of the decoding that is on is named, and sets series apart", async () => {
  const decoding = { canvasLength: 16, steps: 4, algorithm: "maskgit_plus", topP: 0.9, topK: 5, positionTemperature: 0.5, blockLength: 8, cache: "dual", threshold: 0.7, stopAtEnd: true } as const;
  const analysis = await analyze(evaluation([sample()]), evaluation([sample()], { benchmarks: [{ name: "held-out", decoding }] }), evaluation([sample()], { benchmarks: [{ name: "held-out", decoding: { ...decoding, cache: undefined, threshold: undefined, factor: 2 } }] }));
  expect(analysis.series).toHaveLength(3);
  const text = textOf(await drawAnalysis(analysis));
  expect(text).toContain("4 steps on a canvas of 16, maskgit_plus, top-p 0.9, top-k 5, positions at T = 0.5, blocks of 8 with a dual cache, threshold 0.7, stopping at the end; run");
  expect(text).toContain("blocks of 8, factor 2, stopping at the end; run");
});

test("what artifacts do not hold is left out", async () => {
  const alone = await drawAnalysis(await analyze(evaluation([sample()])));
  expect(alone).toContain("<h3>AR-ness</h3>");
  for (const heading of ["Temperature", "Fewer steps", "Before and after"]) expect(alone).not.toContain(`<h3>${heading}`);
  const analysis = await analyze(evaluation([sample({ order: [], trace: [], confidences: [], passed: false })]));
  expect(analysis.series[0]!.orders).toBeNull();
  expect(await drawAnalysis(analysis)).not.toContain("<figure>");
});

test("equal artifacts give equal pages, which stand by themselves", async () => {
  expect(await drawAnalysis(await analyze(bothCheckpoints(4), bothCheckpoints(2)))).toBe(page);
  expect(page).toMatch(/^<!doctype html>\n<html lang="en">/);
  expect(page).toContain("color-scheme: light dark");
  expect(page).not.toMatch(/(?<!xmlns="|xmlns:xlink=")https?:|src=|href=|@import|url\(|<script|<link/);
  expect(page.match(/<style>/g)).toHaveLength(1);
});

test("names from outside cannot become markup", async () => {
  const evil = `<script>alert("x")</script>`;
  const hostile = evaluation([sample({ benchmark: evil })], { name: evil, benchmarks: [{ name: evil, decoding: { canvasLength: 16, steps: 4, algorithm: evil, topP: 1 } }], checkpoints: [{ role: "candidate", stage: evil, step: 1, digest: evil }] });
  expect(await drawAnalysis(await analyze(hostile))).not.toContain("<script");
});

test("colours that have to repeat are owned up to", async () => {
  const many = await analyze(...[4, 5, 6, 7].map((steps) => ({ ...bothCheckpoints(4), benchmarks: [{ name: "held-out", decoding: { canvasLength: 16, steps, algorithm: "maskgit_plus", topP: 1 } }] })));
  expect(await drawAnalysis(many)).toContain("There are more series than colours");
  expect(page).not.toContain("There are more series than colours");
});
