import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { loadCheckpoint, readSafetensors, saveCheckpoint, type MetricsLine } from "@diffucoder/formats";
import { findCached, resolveStage, type ArtifactRef, type StageOutcome, type StageProgress, type Store } from "@diffucoder/lineage";
import { createSampler, initialParameters, parameterCount, toHuggingFace, trainingFlopsPerToken, trainingMemoryBytes, type ModelConfig } from "@diffucoder/model";
import { createSandbox } from "@diffucoder/sandbox";
import { generateTasks, scoreAnswers, type Score } from "@diffucoder/tasks";
import { TemporaryStore, failureOf, withFailingSandbox, withVariable, type RunOptions } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { candidatePath, learningRateAt, loadStart, sampleOrder } from "@diffucoder/training";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { CANVAS, SEED, STEPS, reinforcementTasks, tinyModel, tinyTokenizer, trainedCheckpoint } from "../test/fixtures.ts";
import { advantagesOf } from "./advantages.ts";
import { recipeSchema } from "./config.ts";
import { groupsOf } from "./reward.ts";
import { encodeTask, rollOut } from "./rollout.ts";
import { coupledGrpoStage } from "./run-coupled-grpo.ts";

const GROUP = 4;
const RECIPE = {
  tasks: { families: ["linear"], count: 2 },
  start: { rule: "window", tasks: 2, lowestPassRate: 0.1, highestPassRate: 0.8, lowestMixedGroups: 0.1 },
  canvasLength: CANVAS,
  rounds: 2,
  updatesPerRound: 2,
  tasksPerRound: 2,
  groupSize: GROUP,
  rollout: { steps: 30 },
  referenceSyncSteps: 3,
  optimizer: { learningRate: 1e-3, warmupSteps: 1, weightDecay: 0 },
};
const FINAL = { rule: "final" };

let workplace: TemporaryStore;
let tokenizer: Tokenizer;
let model: ModelConfig;
let checkpoint: ArtifactRef;
let undisturbed: StageOutcome;
let undisturbedProgress: StageProgress[];

interface Attempt extends RunOptions {
  readonly input?: ArtifactRef;
}

const run = (store: Store, { input = checkpoint, ...options }: Attempt = {}): Promise<StageOutcome> =>
  workplace.runStage(coupledGrpoStage, { checkpoint: input }, { store, seed: SEED, recipe: RECIPE, execution: { checkpointEveryRounds: 1 }, ...options });

const keyOf = async (recipe: object = RECIPE): Promise<string> =>
  (await resolveStage(coupledGrpoStage, { recipe, execution: {}, inputs: { checkpoint }, seed: SEED, baseDirectory: workplace.folder }, "fp32")).key;

/** Another store that holds the same starting checkpoint. */
async function storeWithCheckpoint(): Promise<Store> {
  const store = await workplace.anotherStore();
  const directory = await workplace.directory();
  await workplace.store.artifacts.materialize(checkpoint, directory);
  const { meta } = await workplace.store.artifacts.manifest(checkpoint);
  expect(await store.artifacts.publish("checkpoint", directory, meta)).toEqual(checkpoint);
  return store;
}

const read = (outcome: StageOutcome, role: "checkpoint" | "start", store = workplace.store) =>
  loadCheckpoint((path) => store.artifacts.file(outcome.outputs[role]!, path), role === "checkpoint");

interface RolloutLine {
  readonly round: number;
  readonly sample: number;
  readonly task: string;
  readonly completion: string;
  readonly status: string | null;
  readonly cause?: string;
  readonly reward: number | null;
  readonly advantage: number;
  readonly promptLength: number;
  readonly liveLength: number;
  readonly trace: readonly number[];
  readonly maskSeeds: readonly object[];
}

async function rolloutsOf(outcome: StageOutcome, store = workplace.store): Promise<RolloutLine[]> {
  const text = await readFile(await store.artifacts.file(outcome.outputs.checkpoint!, "rollouts.jsonl"), "utf8");
  return text.trimEnd().split("\n").map((line) => JSON.parse(line) as RolloutLine);
}

const sandboxProcesses = () => {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ");
  return children.filter((pid) => existsSync(`/proc/${pid}/comm`) && readFileSync(`/proc/${pid}/comm`, "utf8") === "bwrap\n");
};
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

beforeAll(async () => {
  workplace = await TemporaryStore.open();
  tokenizer = await tinyTokenizer();
  model = tinyModel(tokenizer);
  checkpoint = await trainedCheckpoint(workplace, tokenizer, model);
  undisturbedProgress = [];
  undisturbed = await run(workplace.store, { onProgress: (line) => undisturbedProgress.push(line) });
}, 120_000);

afterAll(() => workplace.close());

test("the policy starts from the checkpoint in the window, and `start` is that checkpoint", async () => {
  const { artifacts } = workplace.store;
  const start = await read(undisturbed, "start");
  expect(start.parameters).toEqual(await readSafetensors(await artifacts.file(checkpoint, candidatePath(STEPS.half))));
  const origin = await loadStart(artifacts, checkpoint);
  expect(start.metrics).toEqual(origin.metrics);
  expect(start.tokenizerJson).toBe(origin.tokenizerJson);
  expect(start.config).toEqual(toHuggingFace({ ...model, headDim: 16 }));
  const measured = undisturbed.summary.measured as { step: number }[];
  expect(measured.map(({ step }) => step)).toEqual([STEPS.right, STEPS.half]);
  expect(start.trainerState).toEqual({ step: STEPS.half, measured });
  const common = { parameterCount: parameterCount(model), history: origin.history, startStep: STEPS.half };
  expect((await artifacts.manifest(undisturbed.outputs.start!)).meta).toEqual({ stage: "instruction-tuning", step: STEPS.half, ...common });
  expect((await artifacts.manifest(undisturbed.outputs.checkpoint!)).meta).toEqual({ stage: "coupled-grpo", step: 2, ...common });
});

test("each completion is one line of rollouts.jsonl, with what it takes to judge it again", async () => {
  const lines = await rolloutsOf(undisturbed);
  expect(lines.map(({ round, sample }) => [round, sample])).toEqual([1, 2].flatMap((round) => Array.from({ length: 8 }, (_, sample) => [round, sample])));
  const order = sampleOrder({ seed: SEED, stage: "coupled-grpo", root: reinforcementTasks.map(({ id }) => id).join(), sampleCount: 2 });
  const expectedTasks = [0, 1, 2, 3].flatMap((draw) => Array.from({ length: GROUP }, () => reinforcementTasks[order(draw)]!));
  expect(lines.map(({ task }) => task)).toEqual(expectedTasks.map(({ id }) => id));
  for (const { trace, promptLength, liveLength, round, sample, maskSeeds } of lines) {
    expect(maskSeeds).toEqual([2 * round - 1, 2 * round].map((step) => ({ seed: SEED, step, sample }))); // two updates a round
    expect(promptLength).toBe(14);
    expect(trace.length).toBe(CANVAS - promptLength);
    expect(Math.min(...trace)).toBeGreaterThanOrEqual(0);
    expect(liveLength).toBeLessThanOrEqual(trace.length);
  }
  const advantages = groupsOf(lines.map(({ reward }) => reward), GROUP).flatMap((group) => [...advantagesOf(group, "leave-one-out")]);
  expect(lines.map(({ advantage }) => advantage)).toEqual(advantages);
  expect(new Set(lines.map(({ reward }) => reward)).size).toBeGreaterThan(1);
  const sandbox = await createSandbox();
  const scores = await scoreAnswers(sandbox, lines.map(({ completion }, i) => ({ task: expectedTasks[i]!, completion })));
  await sandbox.close();
  (scores as Score[]).forEach(({ status, format, passRate }, i) => {
    expect(lines[i]!.status).toBe(status);
    expect(lines[i]!.reward).toBe(format === 1 ? 2 * passRate + 0.5 : 0.5 * format);
  });
});

test("the completions of a round can be drawn again from the policy's weights at its beginning", async () => {
  const lines = await rolloutsOf(undisturbed);
  const sampler = await createSampler(model, { batchSize: 8, canvasLength: CANVAS, windowLength: 30, dtype: "fp32" });
  sampler.setParameters((await read(undisturbed, "start")).parameters);
  const tasks = [0, GROUP].map((i) => encodeTask(reinforcementTasks.find(({ id }) => id === lines[i]!.task)!, tokenizer));
  const again = rollOut(sampler, tasks, {
    groupSize: GROUP,
    recipe: recipeSchema.parse(RECIPE).rollout,
    model,
    tokenizer,
    streamOf: (sample) => ({ seed: SEED, stage: "coupled-grpo", step: 1, sample, purpose: "rollout" }),
  });
  sampler.dispose();
  expect(again.map(({ completion, trace }) => [completion, [...trace]])).toEqual(lines.slice(0, 8).map(({ completion, trace }) => [completion, trace]));
});

test("a round's metrics are the means over its completions, behind those of the stages before", async () => {
  const lines = await rolloutsOf(undisturbed);
  const { metrics } = await read(undisturbed, "checkpoint");
  const earlier = (await loadStart(workplace.store.artifacts, checkpoint)).metrics;
  expect(metrics.slice(0, -2)).toEqual(earlier);
  metrics.slice(-2).forEach((line, i) => {
    const own = lines.filter(({ round }) => round === i + 1);
    const groups = groupsOf(own.map(({ reward }) => reward), GROUP);
    expect(line).toMatchObject({
      stage: "coupled-grpo",
      step: i + 1,
      reward: mean(own.map(({ reward }) => reward!)),
      passRate: mean(own.map(({ status }) => Number(status === "passed"))),
      format: expect.any(Number) as number,
      mixedGroups: mean(groups.map((group) => Number(new Set(group).size > 1))),
      sandboxFaults: 0,
      completionLength: mean(own.map(({ liveLength }) => liveLength)),
      learningRate: learningRateAt(2 * (i + 1), 4, { ...RECIPE.optimizer, finalShare: 0.1 }),
    });
    // Full format earns 0.5, every check passed 2.
    expect(line.reward).toBeCloseTo(0.5 * Number(line.format) + 2 * Number(line.checksPassed), 9);
    for (const name of ["loss", "divergence", "clippedShare", "gradientNorm"]) expect(Number.isFinite(line[name])).toBe(true);
    expect(line.gradientNorm).toBeGreaterThan(0);
  });
  expect(undisturbed.summary).toEqual({
    rounds: 2,
    startStep: STEPS.half,
    measured: expect.any(Array) as unknown,
    rewardAtStart: metrics.at(-2)!.reward,
    rewardAtEnd: metrics.at(-1)!.reward,
    passRateAtStart: metrics.at(-2)!.passRate,
    passRateAtEnd: metrics.at(-1)!.passRate,
    sandboxFaults: 0,
  });
  const rounds = undisturbedProgress.filter(({ unit }) => unit === "rounds");
  expect(rounds).toEqual([1, 2].map((step) => ({ step, totalSteps: 2, unit: "rounds", metrics: { reward: metrics.at(step - 3)!.reward, passRate: metrics.at(step - 3)!.passRate } })));
});

test("policy and reference are one at first, and drift apart until the reference is synchronised", async () => {
  // One update a round: it is measured before it moves the weights, so that only the reference can differ.
  const divergences = async (referenceSyncSteps: number) => {
    const outcome = await run(workplace.store, { recipe: { ...RECIPE, updatesPerRound: 1, referenceSyncSteps } });
    const { metrics } = await read(outcome, "checkpoint");
    expect(metrics.slice(-2).map(({ clippedShare }) => clippedShare)).toEqual([0, 0]);
    return { outcome, found: metrics.slice(-2).map(({ divergence }) => divergence as number) };
  };
  const apart = await divergences(64);
  expect(apart.found[0]).toBe(0);
  expect(apart.found[1]).toBeGreaterThan(0);
  const reference = await readSafetensors(await workplace.store.artifacts.file(apart.outcome.outputs.checkpoint!, "reference.safetensors"));
  expect(reference).toEqual((await read(apart.outcome, "start")).parameters);
  expect((await divergences(1)).found).toEqual([0, 0]);
});

test("the reference is a copy of the policy at the last synchronising step", async () => {
  const reference = await readSafetensors(await workplace.store.artifacts.file(undisturbed.outputs.checkpoint!, "reference.safetensors"));
  const { parameters } = await read(undisturbed, "checkpoint");
  const { parameters: started } = await read(undisturbed, "start");
  // Synchronised at step 3 of 4: neither the weights of the start nor those of the end.
  expect(reference).not.toEqual(started);
  expect(reference).not.toEqual(parameters);
});

test("no sandbox outlives the stage, and a finished stage is found again", async () => {
  expect(sandboxProcesses()).toEqual([]);
  const again = await run(workplace.store);
  expect(again.cached).toBe(true);
  expect(again.outputs).toEqual(undisturbed.outputs);
});

test("checkpoints are saved every so many rounds, but not at the end", async () => {
  const records = await workplace.store.records.checkpoints(await keyOf());
  expect(records.map(({ step }) => step)).toEqual([1]);
  const { meta } = await workplace.store.artifacts.manifest(records[0]!.ref);
  expect(meta).toEqual({ stage: "coupled-grpo", step: 1 });
});

test("stopped after the first round and resumed, the stage gives the same bytes", async () => {
  const store = await storeWithCheckpoint();
  const abort = new AbortController();
  const execution = { checkpointEveryRounds: 50, sandboxWorkers: 1 };
  const stopAfterOne = (line: StageProgress) => {
    if (line.unit === "rounds" && line.step === 1) abort.abort();
  };
  const error = await failureOf(run(store, { execution, onProgress: stopAfterOne, signal: abort.signal }));
  expect(error).toMatchObject({ code: "StageCancelled", message: "stage coupled-grpo: stopped on request after step 1" });
  expect(await findCached(store, await keyOf())).toBeUndefined();
  expect((await store.records.checkpoints(await keyOf())).map(({ step }) => step)).toEqual([1]);
  const progress: StageProgress[] = [];
  const resumed = await run(store, { execution, onProgress: (line) => progress.push(line) });
  expect(progress.map(({ unit, step }) => [unit, step])).toEqual([["rounds", 2]]); // nothing measured again
  expect(resumed.outputs).toEqual(undisturbed.outputs);
  expect(resumed.summary).toEqual(undisturbed.summary);
});

test("an attempt that dies is taken up from its last checkpoint, to the same bytes", async () => {
  const store = await storeWithCheckpoint();
  const die = (line: StageProgress) => {
    if (line.unit === "rounds" && line.step === 2) throw new Error("killed");
  };
  await expect(run(store, { onProgress: die })).rejects.toThrow("killed");
  expect((await run(store)).outputs).toEqual(undisturbed.outputs);
});

test("of a right and a wrong answer, about as likely at first, the right one wins", async () => {
  const store = await storeWithCheckpoint();
  const recipe = { ...RECIPE, rounds: 8, groupSize: 8, updatesPerRound: 4, optimizer: { learningRate: 2e-3, warmupSteps: 1, weightDecay: 0 } };
  const { summary } = await run(store, { recipe, execution: {} });
  const { passRateAtStart, passRateAtEnd, rewardAtStart, rewardAtEnd } = summary as Record<string, number>;
  expect(passRateAtEnd! - passRateAtStart!).toBeGreaterThan(0.2);
  expect(rewardAtEnd! - rewardAtStart!).toBeGreaterThan(0.1); // either answer earns what form is worth
});

test("a policy can be reinforced again; its start is then told by its own name", async () => {
  const recipe = { ...RECIPE, start: FINAL, rounds: 1, referenceSyncSteps: 64 };
  const again = await run(workplace.store, { recipe, input: undisturbed.outputs.checkpoint! });
  expect((await workplace.store.artifacts.manifest(again.outputs.start!)).meta).toMatchObject({ stage: "coupled-grpo", step: 2, startStep: 2 });
  expect(again.summary).toMatchObject({ rounds: 1, startStep: 2, measured: [] });
  const { parameters: before, metrics } = await read(undisturbed, "checkpoint");
  const after = await read(again, "checkpoint");
  expect(after.metrics.slice(0, -1)).toEqual(metrics);
  expect(after.metrics.at(-1)!.reward).toBe(again.summary.rewardAtEnd);
  expect((await read(again, "start")).parameters).toEqual(before);
  expect(await readSafetensors(await workplace.store.artifacts.file(again.outputs.checkpoint!, "reference.safetensors"))).toEqual(before);
});

test("where the sandbox is missing the stage fails, and there is no output", async () => {
  const store = await storeWithCheckpoint();
  const error = await withVariable("PATH", "/nonexistent", () => failureOf(run(store)));
  expect(error).toMatchObject({ code: "SandboxUnavailable", retryable: false, message: expect.stringContaining("no bwrap on the PATH") as string });
  expect(await findCached(store, await keyOf())).toBeUndefined();
  expect(await store.records.checkpoints(await keyOf())).toEqual([]);
});

test("a round without a single verdict is a failure that a retry may mend, and teaches nothing", async () => {
  const store = await storeWithCheckpoint();
  const recipe = { ...RECIPE, start: FINAL, rollout: { steps: 30, temperature: 0.05 } }; // cold: every answer is well formed
  const error = await withFailingSandbox(Infinity, () => failureOf(run(store, { recipe, execution: { sandboxWorkers: 1 } })));
  expect(error).toMatchObject({ code: "NoRewards", retryable: true, details: { subject: "round 1", completions: 8 } });
  expect(await store.records.checkpoints(await keyOf(recipe))).toEqual([]);
});

test("completions that the sandbox failed on have no reward, are counted, and stay out of every mean", async () => {
  const store = await storeWithCheckpoint();
  const recipe = { ...RECIPE, start: FINAL, rounds: 1 };
  const outcome = await withFailingSandbox(2, () => run(store, { recipe, execution: { sandboxWorkers: 1 } }));
  const lines = await rolloutsOf(outcome, store);
  const faults = lines.filter(({ reward }) => reward === null);
  const cause = expect.stringMatching(/^the sandbox failed: /) as string;
  expect(faults.map(({ status, advantage, cause }) => [status, advantage, cause])).toEqual([[null, 0, cause], [null, 0, cause]]);
  const line: MetricsLine = (await read(outcome, "checkpoint", store)).metrics.at(-1)!;
  const known = lines.filter(({ reward }) => reward !== null);
  expect(line).toMatchObject({ sandboxFaults: 2, reward: mean(known.map(({ reward }) => reward!)), completionLength: mean(known.map(({ liveLength }) => liveLength)) });
  expect(outcome.summary.sandboxFaults).toBe(2);
});

test("a loss or gradient that is no number stops the stage, naming step and tasks", async () => {
  const optimizer = { ...RECIPE.optimizer, learningRate: 1e38, warmupSteps: 0, weightDecay: 1 }; // the first update throws the weights out of all bounds
  const error = await failureOf(run(await storeWithCheckpoint(), { recipe: { ...RECIPE, start: FINAL, optimizer } }));
  expect(error).toMatchObject({ code: "NonFiniteLoss", retryable: false, message: expect.stringMatching(/^stage coupled-grpo, step 2: expected a finite loss/) as string });
  expect(error.details).toMatchObject({ step: 2, gradientNorm: expect.stringMatching(/^(NaN|Infinity)$/) as string, documents: expect.arrayContaining(reinforcementTasks.map(({ id }) => id)) as unknown });
  expect((error.details.documents as string[]).length).toBe(2);
});

test("weights whose logits are no numbers stop the stage at the first rollout", async () => {
  const parameters = initialParameters(model, SEED);
  parameters.get("model.norm.weight")!.data.fill(3e38); // finite, as a checkpoint must be
  const directory = await workplace.directory();
  await saveCheckpoint(directory, { config: toHuggingFace(model), parameters, tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [] });
  const input = await workplace.store.artifacts.publish("checkpoint", directory, { step: 9 });
  const error = await failureOf(run(workplace.store, { input, recipe: { ...RECIPE, start: FINAL } }));
  expect(error).toMatchObject({ code: "NonFiniteLogits", retryable: false });
});

test("a stage that cannot be built leaves no sandbox behind", async () => {
  const store = await storeWithCheckpoint();
  // The sandbox has started when the first graph finds no room for its file.
  const error = await withVariable("TMPDIR", "/nonexistent", () => failureOf(run(store)));
  expect(error.message).toContain("ENOENT");
  expect(error.message).toContain("/nonexistent");
  expect(sandboxProcesses()).toEqual([]);
});

test("a reinforcement that needs more memory than there is does not begin", async () => {
  const limit = vi.spyOn(process, "constrainedMemory").mockReturnValue(5e8);
  const error = await failureOf(run(workplace.store, { recipe: { ...RECIPE, rounds: 3 } }));
  limit.mockRestore();
  expect(error).toMatchObject({ code: "NotEnoughMemory", details: { stage: "coupled-grpo", memoryBytes: 5e8 } });
});

test("a prompt that leaves no room for an answer is refused before the first round", async () => {
  const error = await failureOf(run(workplace.store, { recipe: { ...RECIPE, canvasLength: 14 } }));
  expect(error).toMatchObject({ code: "InvalidRecipe" });
  expect(error.message).toMatch(/^stage coupled-grpo: canvasLength: expected more than the 14 prompt tokens of task linear\/[0-9a-f]{12} \([A-Z]+ \d [A-Z]+ \d\), found 14$/);
});

test("tasks that only the start is chosen by count for the room on the canvas too", async () => {
  const families = (names: string[]) => ({
    ...RECIPE,
    tasks: { families: names, count: 1 },
    start: { ...RECIPE.start, lowestPassRate: 0, highestPassRate: 1, lowestMixedGroups: 0 },
    rounds: 1,
    tasksPerRound: 1,
    groupSize: 2,
    rollout: { steps: 2 },
  });
  const [branch] = generateTasks({ families: ["branch"], split: "reinforcement", count: 1, seed: SEED });
  const longest = encodeTask(branch!, tokenizer).prompt.length;
  expect(longest).toBeGreaterThan(14);
  const tooShort = await failureOf(run(workplace.store, { recipe: { ...families(["linear", "branch"]), canvasLength: 15 } }));
  expect(tooShort.message).toMatch(/prompt tokens of task branch\//);
  // One long prompt to learn on, a short one to choose by: the window must reach back to the short one's end.
  expect((await run(workplace.store, { recipe: families(["branch", "linear"]) })).summary.rounds).toBe(1);
});

test("as released: one pair of masks for a round, faults that earn nothing, and a reference that keeps a share of itself", async () => {
  const store = await storeWithCheckpoint();
  const recipe = { ...RECIPE, preset: "as-released", start: FINAL, rounds: 1, referenceSyncSteps: 1 };
  const outcome = await withFailingSandbox(2, () => run(store, { recipe, execution: { sandboxWorkers: 1 } }));
  const lines = await rolloutsOf(outcome, store);
  for (const [sample, { maskSeeds }] of lines.entries()) expect(maskSeeds).toEqual([1, 1].map((step) => ({ seed: SEED, step, sample })));
  expect(lines.filter(({ status }) => status === null).map(({ reward }) => reward)).toEqual([0, 0]);
  const { metrics, parameters } = await read(outcome, "checkpoint", store);
  expect(metrics.at(-1)).toMatchObject({ sandboxFaults: 2 });
  // Blended after each of two updates: some of the start and of the policy in between is left.
  const reference = await readSafetensors(await store.artifacts.file(outcome.outputs.checkpoint!, "reference.safetensors"));
  const { parameters: started } = await read(outcome, "start", store);
  expect(reference).not.toEqual(parameters);
  const one = await run(store, { recipe: { ...recipe, updatesPerRound: 1 } });
  const [after, blended] = [(await read(one, "checkpoint", store)).parameters, await readSafetensors(await store.artifacts.file(one.outputs.checkpoint!, "reference.safetensors"))];
  for (const [name, { data }] of blended) data.forEach((value, i) => expect(value).toBeCloseTo(0.6 * after.get(name)!.data[i]! + 0.4 * started.get(name)!.data[i]!, 5));
});

test("a round of nothing but faults is a failure though faults earn 0", async () => {
  const recipe = { ...RECIPE, preset: "as-released", start: FINAL };
  const error = await withFailingSandbox(Infinity, async () => failureOf(run(await storeWithCheckpoint(), { recipe })));
  expect(error).toMatchObject({ code: "NoRewards" });
});

test("an estimator that leaves tokens out says what share it covers", async () => {
  const outcome = await run(workplace.store, { recipe: { ...RECIPE, start: FINAL, rounds: 1, logProbs: { masks: "single" } } });
  const { coverage } = (await read(outcome, "checkpoint")).metrics.at(-1)!;
  expect(coverage).toBeGreaterThan(0.2);
  expect(coverage).toBeLessThan(0.8);
  expect((await read(undisturbed, "checkpoint")).metrics.at(-1)).not.toHaveProperty("coverage");
});

test("the plan counts the passes of a completion, three evaluations for each update, and the decoding", () => {
  const facts = { model: toHuggingFace(model) as never };
  const perToken = trainingFlopsPerToken(model, 10);
  for (const [logProbs, passes] of [[{}, 3], [{ masks: "full" }, 1], [{ masks: "strata", count: 5 }, 5]] as const) {
    const recipe = recipeSchema.parse({ rounds: 5, updatesPerRound: 2, tasksPerRound: 3, groupSize: 4, canvasLength: 10, rollout: { steps: 6 }, logProbs });
    const plan = coupledGrpoStage.plan!(recipe, { checkpoint: { facts } });
    const canvas = 5 * (3 * 4) * 10; // tokens of a round's completions, over all rounds
    const trained = 3 * passes * canvas; // two updates and the old policy of the first
    const read = (3 * passes + 6) * canvas; // the old policy of the second and the reference of both; decoding
    expect(plan.tokens).toBe(trained + read);
    // A forward pass is a third of a training step.
    expect(plan.flops).toBeCloseTo(trained * perToken + (read * perToken) / 3, -2);
    expect(plan).toMatchObject({ facts, parameterCount: parameterCount(model), peakMemoryBytes: trainingMemoryBytes(model, passes * 3 * 4 * 10) });
  }
});

test.each([{}, { checkpoint: {} }])("a plan without a planned model, %j, is refused", (inputs) => {
  const plan = () => coupledGrpoStage.plan!(recipeSchema.parse({ rounds: 1 }), inputs);
  expect(plan).toThrow("stage coupled-grpo: expected an input `checkpoint` whose plan tells its model, found none");
});
