import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { resolveDtype } from "@diffucoder/engine";
import { resolveStage, sha256, type ArtifactRef, type StageContext, type StageProgress } from "@diffucoder/lineage";
import { createSampler, globalArness, initialParameters, localArness } from "@diffucoder/model";
import { renderPrompt } from "@diffucoder/tasks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CANVAS, HUMANEVAL, HUMANEVAL_CANVAS, NUMERICS, SEED, TASKS, Workplace, completionPrompt, encode, memorized, memorizedCompletion, model, tasks, tokenizer } from "../test/fixtures.ts";
import { decodeAnswers } from "./answer.ts";
import { bootstrapInterval } from "./bootstrap-interval.ts";
import { loadEvaluated } from "./checkpoint-history.ts";
import { recipeSchema } from "./config.ts";
import type { EvaluationReport } from "./report.ts";
import { evaluationStage } from "./run-evaluation.ts";
import type { SampleLine } from "./score-checkpoint.ts";

const DECODING = { canvasLength: CANVAS, steps: 8, batchSize: 2 };
const RECIPE = { tasks: TASKS, decoding: DECODING, samples: { perTask: 2, temperature: 0.7 }, passAt: [1, 2] };
const HISTORY = [{ stage: "pretraining", steps: 5, tokens: 100, validationLossAtStart: 6, validationLossAtEnd: 5, uniformLoss: 5.7 }];
const METRICS = [{ stage: "pretraining", step: 1, loss: 6 }];

let workplace: Workplace;
/** Answers both tasks right. */
let right: ArtifactRef;
/** Answers the first right and the second wrong. */
let half: ArtifactRef;

beforeAll(async () => {
  workplace = await Workplace.open();
  right = await workplace.publish(await memorized(), { stage: "coupled-grpo", step: 20, history: HISTORY }, METRICS);
  half = await workplace.publish(await memorized((task) => (task === tasks[1] ? "def f(x):\n    return x\n" : task.solution)), { stage: "instruction-tuning", step: 7 });
});

afterAll(() => workplace.close());

const reportOf = async (outputs: Readonly<Record<string, ArtifactRef>>) => JSON.parse(await workplace.read(outputs.report!, "report.json")) as EvaluationReport;
const samplesOf = async (outputs: Readonly<Record<string, ArtifactRef>>) =>
  (await workplace.read(outputs.report!, "samples.jsonl"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as SampleLine);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;

describe("a report", () => {
  it("scores what answers right as 1, what answers half right as 1/2, and the difference task by task", async () => {
    const { outputs, summary, cached } = await workplace.evaluate({ candidate: right, baseline: half }, RECIPE);
    expect(cached).toBe(false);
    const report = await reportOf(outputs);
    expect(summary).toEqual(report);
    const always = { mean: 1, interval: [1, 1] };
    const sometimes = { mean: 0.5, interval: bootstrapInterval([1, 0], SEED) };
    expect(report).toEqual({
      seed: SEED,
      tasks: TASKS,
      samples: { perTask: 2, temperature: 0.7 },
      checkpoints: [
        {
          role: "baseline",
          stage: "instruction-tuning",
          step: 7,
          digest: half.digest,
          greedy: sometimes,
          sampled: sometimes,
          passAtK: [{ k: 1, mean: 0.5 }, { k: 2, mean: 0.5 }],
          arness: expect.any(Object) as unknown,
          arnessOfAnswer: expect.any(Object) as unknown,
          verdicts: { failed: 3, passed: 3 },
        },
        {
          role: "candidate",
          stage: "coupled-grpo",
          step: 20,
          digest: right.digest,
          greedy: always,
          sampled: always,
          passAtK: [{ k: 1, mean: 1 }, { k: 2, mean: 1 }],
          arness: expect.any(Object) as unknown,
          arnessOfAnswer: expect.any(Object) as unknown,
          verdicts: { passed: 6 },
        },
      ],
      difference: { mean: 0.5, interval: bootstrapInterval([0, 1], SEED) },
      training: HISTORY,
    });
  });

  it("comes with every answer, the page, and the candidate's curves", async () => {
    const { outputs } = await workplace.evaluate({ candidate: right, baseline: half }, RECIPE);
    const { files, meta } = await workplace.store.artifacts.manifest(outputs.report!);
    expect(files.map(({ path }) => path)).toEqual(["metrics.jsonl", "report.html", "report.json", "samples.jsonl"]);
    expect(meta).toEqual({ checkpoints: [half.digest, right.digest] });
    expect(await workplace.read(outputs.report!, "metrics.jsonl")).toBe(`${JSON.stringify(METRICS[0])}\n`);
    expect(await workplace.read(outputs.report!, "report.html")).toContain("Sampled pass@1 of the candidate minus the baseline: +50.0 points");
    const samples = await samplesOf(outputs);
    expect(samples.map(({ checkpoint, kind, sample, task }) => [checkpoint, kind, sample, task])).toEqual(
      ["baseline", "candidate"].flatMap((checkpoint) =>
        [["greedy", 0], ["sampled", 0], ["sampled", 1]].flatMap(([kind, sample]) => tasks.map(({ id }) => [checkpoint, kind, sample, id])),
      ),
    );
    expect(samples.at(-1)).toEqual({
      checkpoint: "candidate",
      benchmark: "held-out",
      task: tasks[1]!.id,
      kind: "sampled",
      sample: 1,
      completion: `\`\`\`python\n${tasks[1]!.solution}\`\`\`\n`,
      status: "passed",
      cause: "all checks passed",
      passed: true,
    });
    expect(samples[1]).toMatchObject({ status: "failed", cause: "assertion", passed: false });
  });

  it("repeats to the byte", async () => {
    const other = await Workplace.open();
    try {
      const { parameters } = (await loadEvaluated(workplace.store.artifacts, right)).checkpoint;
      const candidate = await other.publish(parameters, { stage: "coupled-grpo", step: 20, history: HISTORY }, METRICS);
      expect(candidate).toEqual(right);
      const again = await other.evaluate({ candidate }, RECIPE);
      expect(again.outputs).toEqual((await workplace.evaluate({ candidate: right }, RECIPE)).outputs);
    } finally {
      await other.close();
    }
  });

  it("of one checkpoint has no difference; a checkpoint that tells nothing of itself is taken as it is", async () => {
    const candidate = await workplace.publish(initialParameters(model, 3));
    const { outputs } = await workplace.evaluate({ candidate }, { ...RECIPE, samples: { perTask: 1 }, passAt: [1] });
    const report = await reportOf(outputs);
    expect("difference" in report).toBe(false);
    expect(report.training).toEqual([]);
    expect(report.checkpoints).toHaveLength(1);
    expect(report.checkpoints[0]).toMatchObject({ role: "candidate", stage: "unknown", step: 0, greedy: { mean: 0, interval: [0, 0] }, verdicts: { malformed: 4 } });
  });

  it("gives AR-ness of the greedy answers, over the window and up to the end marker", async () => {
    const { outputs } = await workplace.evaluate({ candidate: right, baseline: half }, RECIPE);
    const [, { arness, arnessOfAnswer }] = (await reportOf(outputs)).checkpoints as [unknown, EvaluationReport["checkpoints"][0]];
    const prompts = tasks.map((task) => encode(renderPrompt(task)));
    const windowLength = CANVAS - Math.min(...prompts.map(({ length }) => length));
    const sampler = await createSampler(model, { batchSize: 2, canvasLength: CANVAS, windowLength, dtype: "fp32" });
    sampler.setParameters((await loadEvaluated(workplace.store.artifacts, right)).checkpoint.parameters);
    const streamOf = () => ({ seed: 0, stage: "none", purpose: "none" }); // greedy answers draw nothing
    const answers = await decodeAnswers(sampler, prompts, { model, tokenizer, steps: 8, algorithm: "entropy", temperature: 0, streamOf, onBatch: async () => {}, onStep: () => {} });
    sampler.dispose();
    const orders = answers.map(({ order }) => order);
    const ofAnswers = answers.map(({ order, liveLength }) => order.filter((position) => position < liveLength));
    ofAnswers.forEach((order, i) => expect(order.length).toBeLessThan(orders[i]!.length));
    for (const [found, expected] of [[arness, orders], [arnessOfAnswer, ofAnswers]] as const) {
      expect(found.local).toEqual([1, 2, 4].map((k) => ({ k, mean: mean(expected.map((order) => localArness(order, k))) })));
      expect(found.global).toEqual([1, 2, 4].map((k) => ({ k, mean: mean(expected.map((order) => globalArness(order, k))) })));
    }
  });

  it("gives the pass@k that its samples give, and samples that differ", async () => {
    const samples = { perTask: 6, temperature: 1.6 };
    const { outputs } = await workplace.evaluate({ candidate: half }, { ...RECIPE, samples, passAt: [1, 3, 6], arnessK: [3] });
    const [scores] = (await reportOf(outputs)).checkpoints;
    const sampled = (await samplesOf(outputs)).filter(({ kind }) => kind === "sampled");
    const passedOf = tasks.map(({ id }) => sampled.filter(({ task, passed }) => task === id && passed).length);
    expect(sampled).toHaveLength(12);
    expect(passedOf[0]).toBeGreaterThan(0);
    expect(passedOf[0]).toBeLessThan(6);
    // Of 6 samples c pass: C(6, k) - C(6 - c, k) of the C(6, k) choices of k hold one that does.
    const choose = (n: number, k: number): number => (k === 0 ? 1 : n < k ? 0 : (choose(n - 1, k - 1) * n) / k);
    for (const { k, mean: found } of scores!.passAtK) expect(found).toBeCloseTo(mean(passedOf.map((passed) => 1 - choose(6 - passed, k) / choose(6, k))), 12);
    expect(scores!.passAtK.map(({ k }) => k)).toEqual([1, 3, 6]);
    const rates = passedOf.map((passed) => passed / 6);
    expect(scores!.sampled).toEqual({ mean: mean(rates), interval: bootstrapInterval(rates, SEED) });
    expect(scores!.arness.local.map(({ k }) => k)).toEqual([3]);
    const distinct = (lines: readonly SampleLine[]) => new Set(lines.filter(({ kind, task }) => kind === "sampled" && task === tasks[0]!.id).map(({ completion }) => completion)).size;
    expect(distinct(sampled)).toBeGreaterThan(1);
    // When only the likeliest token is left to draw, samples are one.
    const certain = await workplace.evaluate({ candidate: half }, { ...RECIPE, samples, passAt: [1], decoding: { ...DECODING, topP: 1e-9 } });
    expect(distinct(await samplesOf(certain.outputs))).toBe(1);
  });
});

describe("a stage", () => {
  it("reports each phase, and within a phase every two seconds", async () => {
    const phases = ["greedy answers, 0 of 2", "greedy answers, 1 of 2", "sample 1 of 1, 0 of 2", "sample 1 of 1, 1 of 2", "running answers"];
    const recipe = { ...RECIPE, decoding: { ...DECODING, batchSize: 1 }, samples: { perTask: 1 }, passAt: [1] };
    const roles = ["baseline", "candidate"];
    const lines = async (now: () => number) => {
      const own = await Workplace.open();
      const progress: StageProgress[] = [];
      const context = { artifacts: workplace.store.artifacts, scratchDir: own.folder, signal: new AbortController().signal, now, numerics: NUMERICS, report: (line: StageProgress) => progress.push(line) };
      await evaluationStage.run({ recipe: recipeSchema.parse(recipe), execution: { sandboxWorkers: 1 }, inputs: { candidate: right, baseline: half }, seed: SEED, baseDirectory: own.folder }, context as unknown as StageContext);
      await own.close();
      return progress;
    };
    const progressAt = (role: string, note: string) => ({ step: roles.indexOf(role), totalSteps: 2, unit: "checkpoints", note: `${role}: ${note}` });
    expect(await lines(() => 5)).toEqual(roles.flatMap((role) => phases.map((note) => progressAt(role, note))));
    // A clock that jumps a second at each look: every second sign of life is passed on, under the phase it belongs to.
    let time = 0;
    const often = await lines(() => (time += 1000));
    for (const note of phases) expect(often.filter((line) => line.note === `candidate: ${note}`).length).toBeGreaterThan(note === "running answers" ? 1 : 3);
  });

  it("stops on request: before it begins, and at the next batch", async () => {
    const recipe = { ...RECIPE, samples: { perTask: 3 } };
    await expect(workplace.evaluate({ candidate: right }, recipe, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "StageCancelled", retryable: true });
    const abort = new AbortController();
    const seen: string[] = [];
    const stopping = workplace.evaluate({ candidate: right }, recipe, {
      signal: abort.signal,
      onProgress: ({ note }) => {
        seen.push(note!);
        if (note === "candidate: sample 1 of 3, 0 of 2") abort.abort();
      },
    });
    await expect(stopping).rejects.toMatchObject({ code: "StageCancelled", message: "stage evaluation: stopped on request" });
    expect(seen).toEqual(["candidate: greedy answers, 0 of 2", "candidate: sample 1 of 3, 0 of 2"]);
  });

  it("lets a request through that comes from outside, such as a signal of the process", async () => {
    const abort = new AbortController();
    const seen: string[] = [];
    const stopping = workplace.evaluate({ candidate: right }, { ...RECIPE, samples: { perTask: 20 } }, {
      signal: abort.signal,
      onProgress: ({ note }) => {
        if (seen.push(note!) === 1) setTimeout(() => abort.abort(), 0); // fires only where the work yields
      },
    });
    await expect(stopping).rejects.toMatchObject({ code: "StageCancelled" });
    expect(seen).not.toContain("candidate: running answers");
  });

  it("refuses a canvas that a prompt fills, naming the task and the setting", async () => {
    const longest = Math.max(...tasks.map((task) => encode(renderPrompt(task)).length));
    for (const canvasLength of [longest, 2]) {
      await expect(workplace.evaluate({ candidate: right }, { ...RECIPE, decoding: { ...DECODING, canvasLength } })).rejects.toMatchObject({
        code: "PromptTooLong",
        retryable: false,
        message: expect.stringMatching(new RegExp(`^task linear/\\w+: expected a prompt of at most ${canvasLength - 1} tokens on a canvas of ${canvasLength}, found \\d+\\. Raise decoding\\.canvasLength\\.$`)) as string,
      });
    }
  });

  it("asks again when the sandbox fails, and gives up without a report when it fails again", async () => {
    const recipe = { ...RECIPE, samples: { perTask: 1 }, passAt: [1], arnessK: [1] };
    const once = await workplace.withFailingSandbox("first", () => workplace.evaluate({ candidate: right }, recipe));
    expect((await reportOf(once.outputs)).checkpoints[0]).toMatchObject({ sampled: { mean: 1 }, verdicts: { passed: 4 } });
    const always = workplace.withFailingSandbox("every", () => workplace.evaluate({ candidate: right }, { ...recipe, arnessK: [2] }));
    await expect(always).rejects.toMatchObject({ code: "UnscoredAnswers", retryable: true, details: { count: 4, total: 4 } });
  });

  it("decodes in the numerics of its context", async ({ skip }) => {
    skip(resolveDtype("auto") !== "bf16", "this processor does not multiply bf16");
    const candidate = await workplace.publish(initialParameters(model, 5));
    const recipe = { ...RECIPE, samples: { perTask: 1 }, passAt: [1] };
    const [fp32, bf16] = [await workplace.evaluate({ candidate }, recipe), await workplace.evaluate({ candidate }, recipe, { numerics: { ...NUMERICS, dtype: "bf16" } })];
    // An untrained model hardly prefers one position over another, so that rounding changes the order.
    expect((await reportOf(bf16.outputs)).checkpoints[0]!.arness).not.toEqual((await reportOf(fp32.outputs)).checkpoints[0]!.arness);
  });

  it("refuses a checkpoint whose tensors are not those of its config", async () => {
    const parameters = new Map(initialParameters(model, 1));
    parameters.delete("model.norm.weight");
    await expect(workplace.evaluate({ candidate: await workplace.publish(parameters) }, RECIPE)).rejects.toMatchObject({ code: "WrongParameters" });
  });
});

describe("HumanEval", () => {
  const content = HUMANEVAL.map((task) => `${JSON.stringify(task)}\n`).join("");
  const benchmark = { path: "HumanEval.jsonl", sha256: sha256(content), canvasLength: HUMANEVAL_CANVAS, steps: 8, batchSize: 2 };
  const recipe = { ...RECIPE, samples: { perTask: 1 }, passAt: [1], humaneval: benchmark };
  let candidate: ArtifactRef;

  beforeAll(async () => {
    await writeFile(join(workplace.folder, benchmark.path), content);
    candidate = await workplace.publish(await memorizedCompletion());
  });

  it("counts a prompt that leaves no room as an outcome, beside passes and failures", async () => {
    const { outputs, progress } = await workplace.evaluate({ candidate }, recipe);
    const { humaneval } = (await reportOf(outputs)).checkpoints[0]!;
    expect(humaneval).toEqual({ passAt1: { mean: 1 / 3, interval: bootstrapInterval([0, 1, 0], SEED) }, tasks: 3, verdicts: { failed: 1, passed: 1, "prompt-too-long": 1 } });
    const lines = (await samplesOf(outputs)).filter(({ benchmark: name }) => name === "humaneval");
    const tooLong = encode(completionPrompt(2)).length;
    expect(tooLong).toBeGreaterThan(HUMANEVAL_CANVAS - 32);
    expect(lines).toEqual([
      { checkpoint: "candidate", benchmark: "humaneval", task: "HumanEval/2", kind: "greedy", sample: 0, completion: "", status: "prompt-too-long", cause: `${tooLong} tokens on a canvas of ${HUMANEVAL_CANVAS}`, passed: false },
      { checkpoint: "candidate", benchmark: "humaneval", task: "HumanEval/0", kind: "greedy", sample: 0, completion: "def inc(n):\n    return n + 1\n```\n", status: "passed", cause: "all checks passed", passed: true },
      { checkpoint: "candidate", benchmark: "humaneval", task: "HumanEval/1", kind: "greedy", sample: 0, completion: "def inc(n):\n    return n + 1\n```\n", status: "failed", cause: "assertion", passed: false },
    ]);
    expect(await workplace.read(outputs.report!, "report.html")).toContain("<h2>HumanEval</h2>");
    expect(progress.map(({ note }) => note)).toContain("candidate: HumanEval, 0 of 2 (1 prompts too long)");
  });

  it("may be cut to its first tasks, read from gzip, and hold no task that fits", async () => {
    const packed = gzipSync(content);
    await writeFile(join(workplace.folder, "packed.jsonl.gz"), packed);
    const gzipped = { ...benchmark, path: "packed.jsonl.gz", sha256: sha256(packed) };
    const first = await workplace.evaluate({ candidate }, { ...recipe, humaneval: { ...gzipped, tasks: 1 } });
    expect((await reportOf(first.outputs)).checkpoints[0]!.humaneval).toMatchObject({ passAt1: { mean: 1 }, tasks: 1 });
    const none = await workplace.evaluate({ candidate }, { ...recipe, humaneval: { ...gzipped, canvasLength: HUMANEVAL_CANVAS - 1 } });
    expect((await reportOf(none.outputs)).checkpoints[0]!.humaneval).toMatchObject({ passAt1: { mean: 0 }, tasks: 3, verdicts: { "prompt-too-long": 3 } });
  });

  it("asks again when the sandbox fails, as for other tasks", async () => {
    // An untrained model's answers have no program to run, so that HumanEval's are the only jobs.
    const untrained = await workplace.publish(initialParameters(model, 3));
    const once = await workplace.withFailingSandbox("first", () => workplace.evaluate({ candidate: untrained }, recipe));
    expect((await reportOf(once.outputs)).checkpoints[0]!.humaneval!.tasks).toBe(3);
    await expect(workplace.withFailingSandbox("every", () => workplace.evaluate({ candidate: untrained }, { ...recipe, arnessK: [1] }))).rejects.toMatchObject({
      code: "UnscoredAnswers",
      details: { count: 2, total: 2 },
    });
  });

  it("is in the key by its digest, and refused when it is not the pinned file", async () => {
    const request = { recipe: recipeSchema.parse(recipe), execution: {}, inputs: { candidate }, seed: SEED, baseDirectory: workplace.folder };
    const { facts } = await resolveStage(evaluationStage, request, "fp32");
    expect(facts.sources).toEqual({ "HumanEval.jsonl": benchmark.sha256 });
    expect(await evaluationStage.sources!(recipeSchema.parse(RECIPE), workplace.folder)).toEqual({});
    const wrong = { ...recipe, humaneval: { ...benchmark, sha256: "0".repeat(64) } };
    const refusal = {
      code: "BenchmarkMissing",
      retryable: false,
      message: `benchmark HumanEval.jsonl: expected the file that the recipe pins, found sha256 ${benchmark.sha256}. Correct humaneval.path or .sha256.`,
      details: { path: "HumanEval.jsonl", found: `sha256 ${benchmark.sha256}` },
    };
    await expect(workplace.evaluate({ candidate }, wrong)).rejects.toMatchObject(refusal);
    await expect(workplace.evaluate({ candidate }, { ...recipe, humaneval: { ...benchmark, path: "none.jsonl" } })).rejects.toMatchObject({ code: "BenchmarkMissing", message: expect.stringContaining("found ENOENT") as string });
    // The file may change between key and run.
    await expect(evaluationStage.run({ ...request, recipe: recipeSchema.parse(wrong), execution: { sandboxWorkers: 1 } }, {} as StageContext)).rejects.toMatchObject(refusal);
  });
});
