import type { PipelineState, PipelineStatus, StageStatus } from "@diffucoder/orchestrator";
import { expect, test } from "vitest";
import { exitCodeOf, nextSteps } from "./report-run.ts";
import { renderRunSummary } from "./run-summary.ts";

const stage = (id: string, change: Partial<StageStatus> = {}): StageStatus => ({ id, uses: id, state: "done", attempt: 1, recipe: {}, execution: {}, outputs: {}, ...change });
const statusOf = (state: PipelineState, stages: StageStatus[], more: Partial<PipelineStatus> = {}): PipelineStatus => ({
  runId: "tiny-0bfe55",
  name: "tiny",
  state,
  seed: 3,
  numerics: { policy: "auto", dtype: "bf16" },
  stages,
  startedAt: 1000,
  finishedAt: 66_000,
  ...more,
});
const ref = (kind: "checkpoint" | "report" | "shards", digit: string) => ({ kind, digest: digit.repeat(64) }) as const;

test.each([
  ["done", 0],
  ["running", 0],
  ["paused", 0],
  ["parked", 3],
  ["failed", 4],
  ["aborted", 4],
  ["cancelled", 4],
] as const)("a run that is %s gives exit code %d", (state, code) => expect(exitCodeOf(statusOf(state, []))).toBe(code));

test("a parked stage comes with its failure and what can be done", () => {
  const error = { code: "SourceMissing", message: "card x: expected a directory", retryable: false, details: {} };
  expect(nextSteps(statusOf("parked", [stage("corpus", { state: "parked", error }), stage("tokenize", { state: "waiting" })]), undefined)).toBe(
    [
      "",
      "stage corpus is parked after SourceMissing: card x: expected a directory",
      "  once it is mended: npx diffucoder retry corpus -r tiny-0bfe55 [--set recipe.KEY=VALUE]",
      "  with an artifact:  npx diffucoder skip corpus -r tiny-0bfe55 --artifact DIGEST",
      "  give up:           npx diffucoder abort -r tiny-0bfe55 --reason TEXT",
      "  its log:           npx diffucoder logs corpus -r tiny-0bfe55",
    ].join("\n"),
  );
});

test("an ended run says why", () => {
  expect(nextSteps(statusOf("aborted", [], { reason: "wrong seed" }), "http://page")).toBe("\nTemporal: http://page\nrun tiny-0bfe55: aborted: wrong seed");
  expect(nextSteps(statusOf("cancelled", []), undefined)).toBe("\nrun tiny-0bfe55: cancelled");
});

test("a run that is done offers three commands that fit what it has made: the last checkpoint and report, by name", () => {
  const stages = [
    stage("pretraining", { outputs: { checkpoint: ref("checkpoint", "a") } }),
    stage("coupled-grpo", { outputs: { checkpoint: ref("checkpoint", "b"), start: ref("checkpoint", "c") } }),
    stage("evaluation", { outputs: { report: ref("report", "d") } }),
  ];
  expect(nextSteps(statusOf("done", stages), undefined).split("\n").slice(1)).toEqual([
    "worth trying next:",
    "  npx diffucoder lineage show evaluation.report@tiny-0bfe55",
    '  npx diffucoder generate coupled-grpo.checkpoint@tiny-0bfe55 --prompt "NAMED ADD 3 MUL 2"',
    "  npx diffucoder export evaluation.report@tiny-0bfe55 report  # then open report/report.html",
  ]);
  expect(nextSteps(statusOf("done", [stage("tokenize", { outputs: { shards: ref("shards", "a") } })]), undefined)).not.toMatch(/generate|export/);
});

const TRAINING = { stage: "annealing", steps: 20, validationLossAtStart: 3.4, validationLossAtEnd: 3.1, uniformLoss: 5.991, loaderWaitShare: 0.0062 };
const scoresOf = (benchmark: string, greedy: object, sampled?: object) => ({
  benchmark,
  scores: [
    { temperature: 0, samplesPerTask: 1, passAtK: [{ k: 1, ...greedy }] },
    ...(sampled === undefined ? [] : [{ temperature: 1, samplesPerTask: 2, passAtK: [{ k: 1, ...sampled }, { k: 2, mean: 0.9, interval: [0.8, 1] }] }]),
  ],
  arness: { local: [{ k: 1, mean: 0.5 }, { k: 2, mean: 0.25 }], global: [{ k: 1, mean: 0.75 }] },
});
const GREEDY = { mean: 0.25, interval: [0.125, 0.5] };
const evaluation = (lower: number) => ({
  seed: 3,
  benchmarks: [{ name: "held-out", tasks: 8, skipped: [] }, { name: "bigcodebench", tasks: 2, skipped: [{ taskId: "a", missing: ["numpy"] }] }],
  checkpoints: [
    { stage: "instruction-tuning", step: 40, benchmarks: [scoresOf("held-out", GREEDY, { mean: 0.2, interval: [0.1, 0.3] }), scoresOf("bigcodebench", GREEDY)] },
    { stage: "coupled-grpo", step: 3, benchmarks: [scoresOf("held-out", GREEDY, { mean: 0.4, interval: [0.3, 0.5] }), scoresOf("bigcodebench", GREEDY)] },
  ],
  differences: [
    { benchmark: "held-out", temperature: 0, mean: 0, interval: [0, 0] },
    { benchmark: "held-out", temperature: 1, mean: 0.2, interval: [lower, 0.3] },
  ],
});

test("the summary has losses against the uniform guess, scores with intervals, and every stage with its artifacts", () => {
  const stages = [stage("annealing", { wallMs: 5200, summary: TRAINING, outputs: { checkpoint: ref("checkpoint", "a") } }), stage("evaluation", { state: "cached", wallMs: 61_000, summary: evaluation(0.1), outputs: { report: ref("report", "b") } })];
  expect(renderRunSummary(statusOf("done", stages))).toBe(
    `tiny, run tiny-0bfe55: done in 1:05; seed 3, bf16

validation loss (nats per token)  steps  at start  at end  uniform guess ln V  waiting for data
annealing                            20     3.400   3.100               5.991             0.6 %

held-out pass@1, 8 tasks                              greedy   sampled, 2 each at T = 1          local AR-ness  global AR-ness
after instruction-tuning, step 40  25.0 % (12.5 % to 50.0 %)  20.0 % (10.0 % to 30.0 %)  0.50 (k=1) 0.25 (k=2)      0.75 (k=1)
after coupled-grpo, step 3         25.0 % (12.5 % to 50.0 %)  40.0 % (30.0 % to 50.0 %)  0.50 (k=1) 0.25 (k=2)      0.75 (k=1)
difference by reinforcement, T = 1: +20.0 points (+10.0 points to +30.0 points)
bigcodebench pass@1, 2 tasks                          greedy          local AR-ness  global AR-ness
after instruction-tuning, step 40  25.0 % (12.5 % to 50.0 %)  0.50 (k=1) 0.25 (k=2)      0.75 (k=1)
after coupled-grpo, step 3         25.0 % (12.5 % to 50.0 %)  0.50 (k=1) 0.25 (k=2)      0.75 (k=1)
1 tasks skipped, as they need libraries that are not here
in brackets: 95 % bootstrap intervals over tasks, seed 3

stage       state   wall time  artifacts
annealing   done        5.2 s  checkpoint aaaaaaaaaaaa
evaluation  cached       1:01  report bbbbbbbbbbbb`,
  );
});

test("stages that took longer than they had to are named above all figures, each reason once", () => {
  const slow = (reason: string) => ({ summary: { ...TRAINING, slowerBecause: reason } });
  const stages = [stage("pretraining", slow("wasm computes. Run `x`.")), stage("annealing", slow("wasm computes. Run `x`.")), stage("evaluation", { summary: { slowerBecause: "no kernels." } })];
  expect(renderRunSummary(statusOf("done", stages)).split("\n").slice(2, 5)).toEqual([
    "SLOWER than this machine could be (pretraining, annealing): wasm computes. Run `x`.",
    "SLOWER than this machine could be (evaluation): no kernels.",
    "",
  ]);
});

test("a training recorded without its share of waiting has none to show", () => {
  const { loaderWaitShare, ...older } = TRAINING;
  expect(loaderWaitShare).toBeGreaterThan(0);
  expect(renderRunSummary(statusOf("done", [stage("annealing", { summary: older })]))).toMatch(/^annealing +20 +3\.400 +3\.100 +5\.991 +-$/m);
});

test("a difference inside the noise is called that, and a run under way has no end", () => {
  const text = renderRunSummary(statusOf("running", [stage("evaluation", { summary: evaluation(-0.1) })], { finishedAt: undefined } as never));
  expect(text).toContain("(-10.0 points to +30.0 points); zero is inside the interval");
  expect(text).toMatch(/^tiny, run tiny-0bfe55: running; seed 3/);
  expect(text).not.toContain("validation loss");
});
