import { readSafetensors } from "@diffucoder/formats";
import type { ArtifactRef, StageContext } from "@diffucoder/lineage";
import { createSampler, type ModelSampler } from "@diffucoder/model";
import { createSandbox, type Sandbox } from "@diffucoder/sandbox";
import { scoreAnswers } from "@diffucoder/tasks";
import { TemporaryStore, withFailingSandbox } from "@diffucoder/test-kit";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { candidatePath, loadStart, type StartingModel } from "@diffucoder/training";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CANVAS, SEED, STEPS, selectionTasks, tinyModel, tinyTokenizer, trainedCheckpoint } from "../test/fixtures.ts";
import { mixedGroupShare } from "./advantages.ts";
import { chooseStart, parametersOfStep, type ChosenStart } from "./choose-start.ts";
import { recipeSchema } from "./config.ts";
import type { NoStartInWindow } from "./errors.ts";
import { groupsOf, rewardOf } from "./reward.ts";
import { encodeTask, rollOut } from "./rollout.ts";

let workplace: TemporaryStore;
let tokenizer: Tokenizer;
let sampler: ModelSampler;
let sandbox: Sandbox;
let checkpoint: ArtifactRef;
let start: StartingModel;

beforeAll(async () => {
  workplace = await TemporaryStore.open();
  tokenizer = await tinyTokenizer();
  const model = tinyModel(tokenizer);
  checkpoint = await trainedCheckpoint(workplace, tokenizer, model);
  start = await loadStart(workplace.store.artifacts, checkpoint);
  sampler = await createSampler(model, { batchSize: 16, canvasLength: CANVAS, windowLength: 30, dtype: "fp32" });
  sandbox = await createSandbox();
}, 60_000);

afterAll(async () => {
  sampler.dispose();
  await sandbox.close();
  await workplace.close();
});

interface Choice extends ChosenStart {
  readonly notes: readonly (string | undefined)[];
  readonly log: readonly string[];
}

/** A choice on two tasks of the selection split, eight samples each. */
async function choose(rule: object, changes: { checkpoint?: ArtifactRef; sandbox?: Sandbox; context?: Partial<StageContext> } = {}): Promise<Choice> {
  const log: string[] = [];
  const notes: (string | undefined)[] = [];
  const context = await workplace.context({ log: (line) => log.push(line), report: ({ note }) => notes.push(note), ...changes.context });
  const recipe = recipeSchema.parse({
    rounds: 1,
    canvasLength: CANVAS,
    groupSize: 8,
    tasks: { families: ["linear"], count: 2 },
    rollout: { steps: 30 },
    start: { rule: "window", tasks: 2, ...rule },
  });
  const options = { start, checkpoint, recipe, seed: SEED, tokenizer, sampler, sandbox, ...changes, context };
  return { ...(await chooseStart(options)), notes, log };
}

const LEARNING = { lowestPassRate: 0.1, highestPassRate: 0.8, lowestMixedGroups: 0.5 };
const rejected = (choice: Promise<unknown>) => choice.then(() => expect.unreachable(), (error: unknown) => error as NoStartInWindow);

test("the latest checkpoint in the window is chosen, measured from the last one back", async () => {
  const chosen = await choose(LEARNING);
  expect(chosen.step).toBe(STEPS.half);
  expect(chosen.measured.map(({ step }) => step)).toEqual([STEPS.right, STEPS.half]); // the untrained one is not needed
  expect(chosen.measured[0]!.passRate).toBeGreaterThan(0.8);
  expect(chosen.measured[1]!.passRate).toBeLessThan(0.8);
  const kept = await readSafetensors(await workplace.store.artifacts.file(checkpoint, candidatePath(STEPS.half)));
  expect(chosen.parameters).toEqual(kept);
  expect(chosen.notes).toEqual([`measuring step ${STEPS.right}`, `measuring step ${STEPS.half}`]);
  expect(chosen.log[1]).toMatch(/^candidate of step 300: pass rate 0\.\d{3}, mixed groups 1\.00$/);
});

test("measurements repeat, and the window's bounds belong to it", async () => {
  const { measured } = await choose(LEARNING);
  const { passRate, mixedGroups } = measured[1]!;
  const exact = { lowestPassRate: passRate, highestPassRate: passRate, lowestMixedGroups: mixedGroups };
  expect((await choose(exact)).measured).toEqual(measured);
});

test("a measurement is what samples of the selection split earn", async () => {
  const { measured, parameters } = await choose(LEARNING);
  sampler.setParameters(parameters);
  const rollouts = rollOut(
    sampler,
    selectionTasks.map((task) => encodeTask(task, tokenizer)),
    {
      groupSize: 8,
      recipe: { steps: 30, algorithm: "entropy", temperature: 1, topP: 1 },
      model: start.model,
      tokenizer,
      streamOf: (sample) => ({ seed: SEED, stage: "coupled-grpo", sample, purpose: "choice of start" }),
    },
  );
  const scores = await scoreAnswers(sandbox, rollouts);
  const rewards = scores.map((score) => rewardOf(score, recipeSchema.parse({ rounds: 1 })));
  expect(measured[1]).toEqual({ step: STEPS.half, passRate: scores.filter((score) => score.status === "passed").length / 16, mixedGroups: mixedGroupShare(groupsOf(rewards, 8)) });
});

test("a checkpoint whose groups are all equal is passed over", async () => {
  const { measured, step } = await choose({ lowestPassRate: 0, highestPassRate: 1, lowestMixedGroups: 0.9 });
  expect(step).toBe(STEPS.half);
  expect(measured[0]!.mixedGroups).toBeLessThan(0.9);
});

test("without one in the window, every measurement is named", async () => {
  const error = await rejected(choose({ lowestPassRate: 0.01, highestPassRate: 0.02, lowestMixedGroups: 0 }));
  expect(error).toMatchObject({ code: "NoStartInWindow", retryable: false, details: { window: "pass rate 0.01 to 0.02 and mixed groups of at least 0" } });
  const measured = error.details.measured as unknown as { step: number; passRate: number; mixedGroups: number }[];
  expect(measured.map(({ step }) => step)).toEqual([STEPS.right, STEPS.half, STEPS.untrained]);
  expect(measured.at(-1)).toEqual({ step: STEPS.untrained, passRate: 0, mixedGroups: 0 });
  expect(error.message).toMatch(
    /^start checkpoint: expected one with pass rate 0\.01 to 0\.02 and mixed groups of at least 0, found step 360: pass rate \d\.\d{3}, mixed groups \d\.\d\d; step 300: .*; step 2: pass rate 0\.000, mixed groups 0\.00\. Change .*keepSteps.*rule to final\.$/,
  );
});

test("the rule `final` takes the end of the training without measuring anything", async () => {
  const context = await workplace.context({ report: () => expect.unreachable() });
  const recipe = recipeSchema.parse({ rounds: 1 });
  const chosen = await chooseStart({ start, checkpoint, recipe, seed: SEED, tokenizer, sampler, sandbox, context });
  expect(chosen).toEqual({ step: STEPS.right, parameters: start.parameters, measured: [] });
});

test("a last step that was also kept is measured once", async () => {
  const directory = await workplace.directory();
  await workplace.store.artifacts.materialize(checkpoint, directory);
  const both = await workplace.store.artifacts.publish("checkpoint", directory, { step: STEPS.right, candidates: [STEPS.half, STEPS.right] });
  const { measured } = await choose(LEARNING, { checkpoint: both });
  expect(measured.map(({ step }) => step)).toEqual([STEPS.right, STEPS.half]);
});

test("a checkpoint that tells no steps has its only candidate at step 0", async () => {
  const directory = await workplace.directory();
  await workplace.store.artifacts.materialize(checkpoint, directory);
  const foreign = await workplace.store.artifacts.publish("checkpoint", directory, {});
  const { step, measured, parameters } = await choose({ lowestPassRate: 0.5, highestPassRate: 1, lowestMixedGroups: 0 }, { checkpoint: foreign });
  expect([step, measured.length]).toEqual([0, 1]);
  expect(parameters).toBe(start.parameters);
  expect(await parametersOfStep(workplace.store.artifacts, foreign, start, 0)).toBe(start.parameters);
});

test("weights of a step that was not kept are missing, never another step's", async () => {
  await expect(parametersOfStep(workplace.store.artifacts, checkpoint, start, 299)).rejects.toMatchObject({ code: "ArtifactMissing", message: expect.stringContaining(candidatePath(299)) as string });
  expect(await parametersOfStep(workplace.store.artifacts, checkpoint, start, STEPS.right)).toBe(start.parameters);
});

test("a request to stop is heard between two candidates", async () => {
  const abort = new AbortController();
  const context = { signal: abort.signal, log: () => abort.abort() };
  const error = await rejected(choose(LEARNING, { context }));
  expect(error).toMatchObject({ code: "StageCancelled", message: "stage coupled-grpo: stopped on request" });
});

test("completions that the sandbox failed on do not count as failed", async () => {
  const { measured } = await withFailingSandbox(2, async () => {
    const failing = await createSandbox({ workers: 1 });
    return choose({ lowestPassRate: 0.5, highestPassRate: 1, lowestMixedGroups: 0 }, { sandbox: failing }).finally(() => failing.close());
  });
  const passed = measured[0]!.passRate * 14; // of 16, two were never judged
  expect(passed).toBeCloseTo(Math.round(passed), 9);
  expect(passed).toBeGreaterThan(8);
});

test("a candidate that the sandbox never judged is no reason to go on", async () => {
  const error = await withFailingSandbox(Infinity, async () => {
    const failing = await createSandbox({ workers: 1 });
    return rejected(choose(LEARNING, { sandbox: failing })).finally(() => failing.close());
  });
  expect(error).toMatchObject({ code: "NoRewards", retryable: true, details: { subject: "candidate of step 360", completions: 16 } });
  expect(error.message).toMatch(/^candidate of step 360: expected scored completions, found 16 sandbox faults and nothing else\. Run `diffucoder doctor`/);
});
