import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { resolveDtype } from "@diffucoder/engine";
import { resolveStage, sha256, type ArtifactRef, type StageContext, type StageProgress } from "@diffucoder/lineage";
import { createSampler, globalArness, initialParameters, localArness } from "@diffucoder/model";
import { bootstrapInterval, renderCompletion, renderPrompt } from "@diffucoder/tasks";
import { NUMERICS, withFailingSandbox } from "@diffucoder/test-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CANVAS, HUMANEVAL, HUMANEVAL_CANVAS, SEED, TASKS, Workplace, completionPrompt, encode, memorized, memorizedCompletion, model, tasks, tokenizer } from "../test/fixtures.ts";
import { analyzeEvaluations } from "./analysis/analyze.ts";
import { decodeAnswers } from "./answer.ts";
import { loadEvaluated } from "./checkpoint-history.ts";
import { executionSchema, recipeSchema } from "./config.ts";
import type { EvaluationReport } from "./report.ts";
import { evaluationStage } from "./run-evaluation.ts";
import type { SampleLine } from "./sample-line.ts";

const DECODING = { canvasLength: CANVAS, steps: 8, batchSize: 2 };
const RECIPE = { tasks: TASKS, decoding: DECODING, samples: { perTask: 2, temperatures: [0.7] }, passAt: [1, 2] };
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
    const scored = (estimate: object, verdicts: object) => [
      {
        benchmark: "held-out",
        scores: [
          { temperature: 0, samplesPerTask: 1, passAtK: [{ k: 1, ...estimate }] },
          { temperature: 0.7, samplesPerTask: 2, passAtK: [{ k: 1, ...estimate }, { k: 2, ...estimate }] },
        ],
        arness: expect.any(Object) as unknown,
        arnessOfAnswer: expect.any(Object) as unknown,
        verdicts,
      },
    ];
    expect(report).toEqual({
      seed: SEED,
      benchmarks: [{ name: "held-out", tasks: 2, skipped: [], decoding: { ...DECODING, algorithm: "entropy", topP: 1 } }],
      checkpoints: [
        { role: "baseline", stage: "instruction-tuning", step: 7, digest: half.digest, benchmarks: scored(sometimes, { failed: 3, passed: 3 }) },
        { role: "candidate", stage: "coupled-grpo", step: 20, digest: right.digest, benchmarks: scored(always, { passed: 6 }) },
      ],
      differences: [0, 0.7].map((temperature) => ({ benchmark: "held-out", temperature, mean: 0.5, interval: bootstrapInterval([0, 1], SEED) })),
      training: HISTORY,
    });
  });

  it("comes with every answer and how it came about, the page, and the candidate's curves", async () => {
    const { outputs } = await workplace.evaluate({ candidate: right, baseline: half }, RECIPE);
    const { files, meta } = await workplace.store.artifacts.manifest(outputs.report!);
    expect(files.map(({ path }) => path)).toEqual(["metrics.jsonl", "report.html", "report.json", "samples.jsonl"]);
    expect(meta).toEqual({ checkpoints: [half.digest, right.digest] });
    expect(await workplace.read(outputs.report!, "metrics.jsonl")).toBe(`${JSON.stringify(METRICS[0])}\n`);
    expect(await workplace.read(outputs.report!, "report.html")).toContain("T = 0.7 pass@1 of the candidate minus the baseline: +50.0 points");
    const samples = await samplesOf(outputs);
    expect(samples.map(({ checkpoint, temperature, sample, task_id }) => [checkpoint, temperature, sample, task_id])).toEqual(
      ["baseline", "candidate"].flatMap((checkpoint) =>
        [[0, 0], [0.7, 0], [0.7, 1]].flatMap(([temperature, sample]) => tasks.map(({ id }) => [checkpoint, temperature, sample, id])),
      ),
    );
    const last = samples.at(-1)!;
    const promptTokens = encode(renderPrompt(tasks[1]!)).length;
    expect(last).toMatchObject({
      checkpoint: "candidate",
      benchmark: "held-out",
      task_id: tasks[1]!.id,
      temperature: 0.7,
      sample: 1,
      seed: SEED,
      completion: `\`\`\`python\n${tasks[1]!.solution}\`\`\`\n`,
      solution: tasks[1]!.solution,
      status: "passed",
      cause: "all checks passed",
      passed: true,
      promptTokens,
    });
    expect([...last.order].sort((a, b) => a - b)).toEqual(Array.from({ length: CANVAS - promptTokens }, (_, i) => i));
    expect(last.trace).toHaveLength(CANVAS - promptTokens);
    expect(last.confidences).toHaveLength(CANVAS - promptTokens);
    // The first pass is kept of greedy answers, as it is the same for the others.
    expect(samples.map(({ temperature, firstEntropies }) => [temperature, firstEntropies !== undefined])).toEqual(samples.map(({ temperature }) => [temperature, temperature === 0]));
    const [greedy] = samples;
    expect(greedy!.firstEntropies).toHaveLength(greedy!.order.length);
    for (const nats of greedy!.firstEntropies!) expect(nats).toSatisfy((entropy: number) => entropy >= 0 && entropy < Math.log(model.vocabSize));
    expect(Math.max(...last.trace)).toBe(DECODING.steps - 1);
    expect(last.answerTokens).toBe(encode(renderPrompt(tasks[1]!) + renderCompletion(tasks[1]!)).length - promptTokens);
    expect(samples[1]).toMatchObject({ status: "failed", cause: "assertion", passed: false });
  });

  it("is what the analysis reads", async () => {
    const { outputs } = await workplace.evaluate({ candidate: right, baseline: half }, RECIPE);
    const [reportPath, samplesPath] = await Promise.all(["report.json", "samples.jsonl"].map((path) => workplace.store.artifacts.file(outputs.report!, path)));
    const { series, changes } = await analyzeEvaluations([{ name: "run", reportPath: reportPath!, samplesPath: samplesPath! }]);
    const { checkpoints } = await reportOf(outputs);
    expect(series.map(({ temperatures }) => temperatures.map(({ passAtK }) => passAtK))).toEqual(checkpoints.map(({ benchmarks }) => benchmarks[0]!.scores.map(({ passAtK }) => passAtK)));
    expect(series.map(({ orders }) => orders!.arness.window[0]!.strict.mean)).toEqual(checkpoints.map(({ benchmarks }) => benchmarks[0]!.arness.local[0]!.mean));
    expect(series.map(({ orders }) => orders!.arness.answer[0]!.global.mean)).toEqual(checkpoints.map(({ benchmarks }) => benchmarks[0]!.arnessOfAnswer.global[0]!.mean));
    expect(changes[0]).toMatchObject({ measure: "pass@1", mean: 0.5, tasks: 2 });
  });

  it("repeats to the byte", async () => {
    const other = await Workplace.open();
    try {
      const { parameters } = await loadEvaluated(workplace.store.artifacts, right);
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
    expect(report.differences).toEqual([]);
    expect(report.training).toEqual([]);
    expect(report.checkpoints).toHaveLength(1);
    expect(report.checkpoints[0]).toMatchObject({ role: "candidate", stage: "unknown", step: 0, benchmarks: [{ scores: [{ passAtK: [{ mean: 0, interval: [0, 0] }] }, {}], verdicts: { malformed: 4 } }] });
    expect((await samplesOf(outputs)).map(({ solution }) => solution)).toEqual([null, null, null, null]);
  });

  it("gives AR-ness of the greedy answers, over the window and up to the end marker", async () => {
    const { outputs } = await workplace.evaluate({ candidate: right, baseline: half }, RECIPE);
    const { arness, arnessOfAnswer } = (await reportOf(outputs)).checkpoints[1]!.benchmarks[0]!;
    const prompts = tasks.map((task) => encode(renderPrompt(task)));
    const windowLength = CANVAS - Math.min(...prompts.map(({ length }) => length));
    const sampler = await createSampler(model, { batchSize: 2, canvasLength: CANVAS, windowLength, dtype: "fp32" });
    sampler.setParameters((await loadEvaluated(workplace.store.artifacts, right)).parameters);
    const streamOf = () => ({ seed: 0, stage: "none", purpose: "none" }); // greedy answers draw nothing
    const answers = decodeAnswers(sampler, prompts, { model, tokenizer, settings: { steps: 8, algorithm: "entropy", topP: 1 }, temperature: 0, streamOf, onStep: () => {} });
    sampler.dispose();
    const orders = answers.map(({ order }) => order);
    const ofAnswers = answers.map(({ order, liveLength }) => order.filter((position) => position < liveLength));
    ofAnswers.forEach((order, i) => expect(order.length).toBeLessThan(orders[i]!.length));
    for (const [found, expected] of [[arness, orders], [arnessOfAnswer, ofAnswers]] as const) {
      expect(found.local).toEqual([1, 2, 4].map((k) => ({ k, mean: mean(expected.map((order) => localArness(order, k))) })));
      expect(found.global).toEqual([1, 2, 4].map((k) => ({ k, mean: mean(expected.map((order) => globalArness(order, k))) })));
    }
  });

  it("gives the pass@k that its samples give at each temperature, and samples that differ", async () => {
    const samples = { perTask: 6, temperatures: [1.8, 0.1] };
    const { outputs } = await workplace.evaluate({ candidate: half }, { ...RECIPE, samples, passAt: [1, 3, 6], arnessK: [3] });
    const [scores] = (await reportOf(outputs)).checkpoints[0]!.benchmarks;
    const sampled = (await samplesOf(outputs)).filter(({ temperature }) => temperature === 1.8);
    const passedOf = tasks.map(({ id }) => sampled.filter(({ task_id, passed }) => task_id === id && passed).length);
    expect(sampled).toHaveLength(12);
    expect(passedOf[0]).toBeGreaterThan(0);
    expect(passedOf[0]).toBeLessThan(6);
    // Of 6 samples c pass: C(6, k) - C(6 - c, k) of the C(6, k) choices of k hold one that does.
    const choose = (n: number, k: number): number => (k === 0 ? 1 : n < k ? 0 : (choose(n - 1, k - 1) * n) / k);
    expect(scores!.scores.map(({ temperature, samplesPerTask }) => [temperature, samplesPerTask])).toEqual([[0, 1], [1.8, 6], [0.1, 6]]);
    const { passAtK } = scores!.scores[1]!;
    expect(passAtK.map(({ k }) => k)).toEqual([1, 3, 6]);
    for (const { k, mean: found, interval } of passAtK) {
      const rates = passedOf.map((passed) => 1 - choose(6 - passed, k) / choose(6, k));
      expect(found).toBeCloseTo(mean(rates), 12);
      bootstrapInterval(rates, SEED).forEach((bound, i) => expect(interval[i]).toBeCloseTo(bound, 12));
    }
    expect(scores!.arness.local.map(({ k }) => k)).toEqual([3]);
    const distinct = (lines: readonly SampleLine[]) => new Set(lines.filter(({ temperature, task_id }) => temperature === 1.8 && task_id === tasks[0]!.id).map(({ completion }) => completion)).size;
    expect(distinct(sampled)).toBeGreaterThan(1);
    // When only the likeliest token is left to draw, samples are one.
    const certain = await workplace.evaluate({ candidate: half }, { ...RECIPE, samples, passAt: [1], decoding: { ...DECODING, topP: 1e-9 } });
    expect(distinct(await samplesOf(certain.outputs))).toBe(1);
  });
});

describe("decoding settings", () => {
  it("reach the decoder: in blocks with a cache, several tokens at once, and only up to the end", async () => {
    const settings = { algorithm: "maskgit_plus", blockLength: 8, threshold: 0.5, stopAtEnd: true };
    const samplesWith = async (decoding: Record<string, unknown>) => samplesOf((await workplace.evaluate({ candidate: right }, { ...RECIPE, samples: { perTask: 1 }, passAt: [1], decoding: { ...DECODING, ...decoding } })).outputs);
    const plain = await samplesWith({});
    for (const cache of [undefined, "dual"]) {
      const fast = await samplesWith({ ...settings, ...(cache === undefined ? {} : { cache }) });
      expect(fast.slice(0, 2).map(({ passed, completion }) => [passed, completion])).toEqual(plain.slice(0, 2).map(({ passed, completion }) => [passed, completion]));
      for (const { order, trace, confidences } of fast) expect([trace.length, confidences.length]).toEqual([order.length, order.length]);
      const latest = (block: number) => Math.max(...fast[0]!.trace.slice(8 * block, 8 * block + 8));
      for (const [offset, step] of fast[0]!.trace.entries()) if (offset >= 8) expect(step).toBeGreaterThan(latest(Math.floor(offset / 8) - 1));
      expect(fast.map(({ firstEntropies }) => firstEntropies !== undefined)).toEqual([true, true, false, false].map((isGreedy) => isGreedy && cache === undefined));
    }
  });
});

describe("a stage", () => {
  it("reports each phase, and within a phase every two seconds", async () => {
    const phases = ["greedy", "T = 1, sample 1 of 1"].flatMap((what) => [0, 1].map((done) => `held-out, ${what}: ${done} of 2`));
    const recipe = { ...RECIPE, decoding: { ...DECODING, batchSize: 1 }, samples: { perTask: 1 }, passAt: [1] };
    const roles = ["baseline", "candidate"];
    const lines = async (now: () => number) => {
      const own = await Workplace.open();
      const progress: StageProgress[] = [];
      const context = await own.context({ artifacts: workplace.store.artifacts, now, report: (line) => progress.push(line) });
      await evaluationStage.run({ recipe: recipeSchema.parse(recipe), execution: { sandboxWorkers: 1, checkpointEverySeconds: 1e9 }, inputs: { candidate: right, baseline: half }, seed: SEED, baseDirectory: own.folder }, context);
      await own.close();
      return progress;
    };
    const progressAt = (role: string, note: string) => ({ step: roles.indexOf(role), totalSteps: 2, unit: "checkpoints", note: `${role}: ${note}` });
    expect(await lines(() => 5)).toEqual(roles.flatMap((role) => phases.map((note) => progressAt(role, note))));
    // A clock that jumps a second at each look: every second sign of life is passed on, under the phase it belongs to.
    let time = 0;
    const often = await lines(() => (time += 1000));
    for (const note of phases) expect(often.filter((line) => line.note === `candidate: ${note}`).length).toBeGreaterThan(3);
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
        if (note === "candidate: held-out, T = 1, sample 1 of 3: 0 of 2") abort.abort();
      },
    });
    await expect(stopping).rejects.toMatchObject({ code: "StageCancelled", message: "stage evaluation: stopped on request" });
    expect(seen).toEqual(["candidate: held-out, greedy: 0 of 2", "candidate: held-out, T = 1, sample 1 of 3: 0 of 2"]);
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
    expect(seen.length).toBeLessThan(21);
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
    const once = await withFailingSandbox(1, () => workplace.evaluate({ candidate: right }, recipe));
    expect((await reportOf(once.outputs)).checkpoints[0]).toMatchObject({ benchmarks: [{ scores: [{ passAtK: [{ mean: 1 }] }, { passAtK: [{ mean: 1 }] }], verdicts: { passed: 4 } }] });
    const always = withFailingSandbox(Infinity, () => workplace.evaluate({ candidate: right }, { ...recipe, arnessK: [2] }));
    await expect(always).rejects.toMatchObject({ code: "UnscoredAnswers", retryable: true, details: { count: 2, total: 2 } });
  });

  it("goes on where it was stopped: finished samples are not run again, and the report is the same to the byte", async () => {
    const recipe = { ...RECIPE, samples: { perTask: 3 }, passAt: [1], arnessK: [1], decoding: { ...DECODING, batchSize: 1 } };
    const whole = await workplace.evaluate({ candidate: right, baseline: half }, recipe);
    for (const checkpointEverySeconds of [0, 1e9]) {
      const other = await Workplace.open();
      try {
        const inputs = { candidate: await other.copy(workplace, right), baseline: await other.copy(workplace, half) };
        const abort = new AbortController();
        const execution = { checkpointEverySeconds };
        const stopped = other.evaluate(inputs, recipe, { execution, signal: abort.signal, onProgress: ({ note }) => void (note?.endsWith("sample 2 of 3: 1 of 2") && abort.abort()) });
        await expect(stopped).rejects.toMatchObject({ code: "StageCancelled" });
        const again = await other.evaluate(inputs, recipe, { execution });
        expect(again.outputs).toEqual(whole.outputs);
        // Of 16 batches six were finished: greedy, first and second sample of the baseline, two each.
        const notes = [...new Set(again.progress.map(({ note }) => note))];
        expect(notes[0]).toBe("baseline: held-out, T = 1, sample 3 of 3: 0 of 2");
        expect(notes).toHaveLength(10);
      } finally {
        await other.close();
      }
    }
  });

  it("decodes in the numerics of its context", async ({ skip }) => {
    skip(resolveDtype("auto") !== "bf16", "this processor does not multiply bf16");
    const candidate = await workplace.publish(initialParameters(model, 5));
    const recipe = { ...RECIPE, samples: { perTask: 1 }, passAt: [1] };
    const [fp32, bf16] = [await workplace.evaluate({ candidate }, recipe), await workplace.evaluate({ candidate }, recipe, { numerics: { ...NUMERICS, dtype: "bf16" } })];
    // An untrained model hardly prefers one position over another, so that rounding changes the order.
    const arnessOf = async ({ outputs }: typeof fp32) => (await reportOf(outputs)).checkpoints[0]!.benchmarks[0]!.arness;
    expect(await arnessOf(bf16)).not.toEqual(await arnessOf(fp32));
  });

  it("refuses a checkpoint whose tensors are not those of its config", async () => {
    const parameters = new Map(initialParameters(model, 1));
    parameters.delete("model.norm.weight");
    await expect(workplace.evaluate({ candidate: await workplace.publish(parameters) }, RECIPE)).rejects.toMatchObject({ code: "WrongParameters" });
  });
});

describe("a benchmark", () => {
  const content = HUMANEVAL.map((task) => `${JSON.stringify(task)}\n`).join("");
  const decoding = { canvasLength: HUMANEVAL_CANVAS, steps: 8, batchSize: 2 };
  const benchmark = { name: "humaneval", path: "HumanEval.jsonl", sha256: sha256(content), decoding };
  const recipe = { ...RECIPE, samples: { perTask: 1 }, passAt: [1], benchmarks: [benchmark] };
  let candidate: ArtifactRef;

  beforeAll(async () => {
    await writeFile(join(workplace.folder, benchmark.path), content);
    candidate = await workplace.publish(await memorizedCompletion());
  });

  it("counts a prompt that leaves no room as an outcome, beside passes and failures", async () => {
    const { outputs, progress } = await workplace.evaluate({ candidate }, recipe);
    const report = await reportOf(outputs);
    expect(report.benchmarks[1]).toEqual({ name: "humaneval", tasks: 3, skipped: [], decoding: { ...decoding, algorithm: "entropy", topP: 1 }, sha256: benchmark.sha256 });
    expect(report.checkpoints[0]!.benchmarks[1]).toMatchObject({
      benchmark: "humaneval",
      scores: [{ temperature: 0, samplesPerTask: 1, passAtK: [{ k: 1, mean: 1 / 3, interval: bootstrapInterval([1, 0, 0], SEED) }] }],
      verdicts: { failed: 1, passed: 1, "prompt-too-long": 1 },
    });
    const lines = (await samplesOf(outputs)).filter(({ benchmark: name }) => name === "humaneval");
    const tooLong = encode(completionPrompt(2)).length;
    expect(tooLong).toBeGreaterThan(HUMANEVAL_CANVAS - 32);
    const answer = { completion: "def inc(n):\n    return n + 1\n```\n", solution: "def inc(n):\n    return n + 1\n" };
    const origin = { checkpoint: "candidate", benchmark: "humaneval", temperature: 0, sample: 0, seed: SEED };
    expect(lines).toMatchObject([
      { ...origin, task_id: "HumanEval/2", completion: "", solution: null, status: "prompt-too-long", cause: `${tooLong} tokens on a canvas of ${HUMANEVAL_CANVAS}`, passed: false, promptTokens: tooLong, answerTokens: 0, order: [], trace: [] },
      { ...origin, task_id: "HumanEval/0", ...answer, status: "passed", cause: "all checks passed", passed: true },
      { ...origin, task_id: "HumanEval/1", ...answer, status: "failed", cause: "assertion", passed: false },
    ]);
    expect(await workplace.read(outputs.report!, "report.html")).toContain("<h2>humaneval, 3 tasks</h2>");
    expect(progress.map(({ note }) => note)).toContain("candidate: humaneval, greedy: 0 of 2");
  });

  it("is sampled at several temperatures, and written for evalplus at each", async () => {
    const samples = { perTask: 2, temperatures: [0.2, 0.8] };
    const { outputs } = await workplace.evaluate({ candidate }, { ...recipe, benchmarks: [{ ...benchmark, samples }] });
    const [, { scores }] = (await reportOf(outputs)).checkpoints[0]!.benchmarks as [unknown, EvaluationReport["checkpoints"][0]["benchmarks"][0]];
    expect(scores.map(({ temperature, samplesPerTask }) => [temperature, samplesPerTask])).toEqual([[0, 1], [0.2, 2], [0.8, 2]]);
    for (const temperature of [0, 0.2, 0.8]) {
      const name = `evalplus/humaneval-candidate-t${temperature}`;
      const lines = (await workplace.read(outputs.report!, `${name}.jsonl`)).trimEnd().split("\n").map((line) => JSON.parse(line) as unknown);
      expect(lines).toHaveLength(temperature === 0 ? 3 : 6);
      expect(lines).toContainEqual({ task_id: "HumanEval/0", solution: "def inc(n):\n    return n + 1\n" });
      expect(lines).toContainEqual({ task_id: "HumanEval/2", solution: "" });
      const results = JSON.parse(await workplace.read(outputs.report!, `${name}_eval_results.json`)) as { hash: string; eval: Record<string, { base_status: string }[]> };
      expect(results.hash).toBe(createHash("md5").update(content).digest("hex"));
      expect(results.eval["HumanEval/0"]![0]).toMatchObject({ task_id: "HumanEval/0", base_status: "pass", plus_status: null });
      expect(results.eval["HumanEval/1"]![0]).toMatchObject({ base_status: "fail" });
      expect(results.eval["HumanEval/2"]).toHaveLength(temperature === 0 ? 1 : 2);
    }
  });

  it("may be cut to its first tasks, read from gzip, and hold no task that fits", async () => {
    const packed = gzipSync(content);
    await writeFile(join(workplace.folder, "packed.jsonl.gz"), packed);
    const gzipped = { ...benchmark, path: "packed.jsonl.gz", sha256: sha256(packed) };
    const scoresOf = async (changes: object) => {
      const { outputs } = await workplace.evaluate({ candidate }, { ...recipe, benchmarks: [{ ...gzipped, ...changes }] });
      const report = await reportOf(outputs);
      return { ...report.benchmarks[1]!, ...report.checkpoints[0]!.benchmarks[1]! };
    };
    expect(await scoresOf({ tasks: 1 })).toMatchObject({ tasks: 1, scores: [{ passAtK: [{ mean: 1 }] }] });
    expect(await scoresOf({ decoding: { ...decoding, canvasLength: HUMANEVAL_CANVAS - 1 } })).toMatchObject({
      tasks: 3,
      scores: [{ passAtK: [{ mean: 0 }] }],
      verdicts: { "prompt-too-long": 3 },
      arness: { local: [], global: [] },
    });
  });

  it("whose tasks need libraries that are not here names them, and scores the others", async () => {
    const row = { entry_point: "task_func", complete_prompt: "def task_func():\n", instruct_prompt: "Do.", code_prompt: "def task_func():", canonical_solution: "    pass", test: "import unittest\nclass TestCases(unittest.TestCase):\n    pass\n" };
    const rows = [{ ...row, task_id: "BigCodeBench/1", libs: "['no_such_library', 'os']" }, { ...row, task_id: "BigCodeBench/2", libs: "['os']" }];
    const text = rows.map((each) => JSON.stringify(each)).join("\n");
    await writeFile(join(workplace.folder, "bcb.jsonl"), text);
    const benchmarks = [{ name: "bigcodebench", path: "bcb.jsonl", sha256: sha256(text), decoding: { ...decoding, canvasLength: HUMANEVAL_CANVAS + 60 } }];
    const asked = await workplace.evaluate({ candidate, baseline: candidate }, { ...recipe, benchmarks });
    const report = await reportOf(asked.outputs);
    expect(report.benchmarks[1]).toMatchObject({ name: "bigcodebench", tasks: 1, skipped: [{ taskId: "BigCodeBench/1", missing: ["no_such_library"] }] });
    // A run of no test is no success.
    expect((await samplesOf(asked.outputs)).filter(({ benchmark: name }) => name === "bigcodebench").map(({ task_id, passed }) => [task_id, passed])).toEqual([["BigCodeBench/2", false], ["BigCodeBench/2", false]]);
    const alone = await workplace.evaluate({ candidate, baseline: candidate }, { ...recipe, benchmarks: [{ ...benchmarks[0]!, tasks: 1, prompt: "instruct" }] });
    expect((await reportOf(alone.outputs)).benchmarks[1]).toMatchObject({ name: "bigcodebench (instruct)", tasks: 0 });
    expect((await reportOf(alone.outputs)).differences.map(({ benchmark: name }) => name)).toEqual(["held-out", "held-out"]);
  });

  it("is judged again when the sandbox fails, as for other tasks", async () => {
    // An untrained model's answers have no program to run, so that the benchmark's are the only jobs.
    const untrained = await workplace.publish(initialParameters(model, 3));
    const once = await withFailingSandbox(1, () => workplace.evaluate({ candidate: untrained }, recipe));
    expect((await reportOf(once.outputs)).benchmarks[1]!.tasks).toBe(3);
    await expect(withFailingSandbox(Infinity, () => workplace.evaluate({ candidate: untrained }, { ...recipe, arnessK: [1] }))).rejects.toMatchObject({
      code: "UnscoredAnswers",
      details: { count: 2, total: 2 },
    });
  });

  it("is in the key by its digest, and refused when it is not the pinned file", async () => {
    const request = { recipe: recipeSchema.parse(recipe), execution: {}, inputs: { candidate }, seed: SEED, baseDirectory: workplace.folder };
    const { facts } = await resolveStage(evaluationStage, request, "fp32");
    expect(facts.sources).toEqual({ "HumanEval.jsonl": benchmark.sha256 });
    expect(await evaluationStage.sources!(recipeSchema.parse(RECIPE), workplace.folder)).toEqual({});
    const wrong = { ...recipe, benchmarks: [{ ...benchmark, sha256: "0".repeat(64) }] };
    const refusal = {
      code: "BenchmarkMissing",
      retryable: false,
      message: `benchmark HumanEval.jsonl: expected the file that the recipe pins, found sha256 ${benchmark.sha256}. Correct path or sha256 in benchmarks.`,
      details: { path: "HumanEval.jsonl", found: `sha256 ${benchmark.sha256}` },
    };
    await expect(workplace.evaluate({ candidate }, wrong)).rejects.toMatchObject(refusal);
    await expect(workplace.evaluate({ candidate }, { ...recipe, benchmarks: [{ ...benchmark, path: "none.jsonl" }] })).rejects.toMatchObject({ code: "BenchmarkMissing", message: expect.stringContaining("found none (ENOENT)") as string });
    // The file may change between key and run.
    await expect(evaluationStage.run({ ...request, recipe: recipeSchema.parse(wrong), execution: executionSchema.parse({}) }, {} as StageContext)).rejects.toMatchObject(refusal);
  });
});
