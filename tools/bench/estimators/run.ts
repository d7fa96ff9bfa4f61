// `npm run bench:estimators -- FOLDER [TASKS]`: how well each estimator of log-probabilities does on completions that a checkpoint (a
// folder as `diffucoder export` writes it) samples, beside the likelihood bound that all of them approximate.
import { cpus } from "node:os";
import { join } from "node:path";
import { advantagesOf, compareEstimators, encodeTask, recipeSchema, rewardOf, rollOut, type Estimator } from "@diffucoder/coupled-grpo";
import { backendInfo } from "@diffucoder/engine";
import { loadModel, openSampler } from "@diffucoder/model";
import { createSandbox } from "@diffucoder/sandbox";
import { generateTasks, scoreAnswers } from "@diffucoder/tasks";

const GROUP = 8;
const DRAWS = 8;
const REFERENCE_PAIRS = 64;
const SEED = 1;

const [folder, taskCount = "8"] = process.argv.slice(2);
if (folder === undefined) {
  console.error("expected a folder as `diffucoder export` writes it, found none; see tools/bench/README.md for the one that was measured");
  process.exit(2);
}
const estimatorOf = (logProbs: object): Estimator => recipeSchema.parse({ rounds: 1, logProbs }).logProbs;
const estimators = {
  "full": estimatorOf({ masks: "full" }),
  "full, 15 % of the prompt": estimatorOf({ masks: "full", promptNoise: 0.15 }),
  "single": estimatorOf({ masks: "single" }),
  "independent": estimatorOf({ masks: "independent", fullPass: false }),
  "coupled": estimatorOf({ fullPass: false }),
  "coupled, 1/t": estimatorOf({ fullPass: false, weights: "inverse-level" }),
  "independent and full": estimatorOf({ masks: "independent" }),
  "coupled and full": estimatorOf({}),
  "coupled and full, 1/t": estimatorOf({ weights: "inverse-level" }),
  "strata of 4": estimatorOf({ masks: "strata", count: 4 }),
  "strata of 8": estimatorOf({ masks: "strata", count: 8 }),
};

const { model, parameters, tokenizer } = await loadModel(async (path) => join(folder, path));
const recipe = recipeSchema.parse({ rounds: 1, canvasLength: 56 });
const tasks = generateTasks({ families: ["named"], split: "selection", count: Number(taskCount), seed: SEED }).map((task) => encodeTask(task, tokenizer));
const windowLength = recipe.canvasLength - Math.min(...tasks.map(({ prompt }) => prompt.length));
const sampler = await openSampler(model, recipe.rollout, { batchSize: tasks.length * GROUP, canvasLength: recipe.canvasLength, windowLength, dtype: "fp32" });
sampler.setParameters(parameters);
const streamOf = (sample: number) => ({ seed: SEED, stage: "bench", sample, purpose: "rollout" });
const rollouts = rollOut(sampler, tasks, { groupSize: GROUP, recipe: recipe.rollout, model, tokenizer, streamOf });
sampler.dispose();
const sandbox = await createSandbox({ workers: 2 });
const scores = await scoreAnswers(sandbox, rollouts);
await sandbox.close();
const rewards = scores.map((score) => rewardOf(score, recipe));
const advantages = tasks.flatMap((_, task) => [...advantagesOf(rewards.slice(task * GROUP, (task + 1) * GROUP), recipe.advantage)]);
const passed = scores.filter(({ status }) => status === "passed").length;

const { threads, instructionSet } = await backendInfo();
console.log(`${cpus()[0]!.model.trim()} (${instructionSet}), ${threads} threads; ${rollouts.length} completions of ${tasks.length} tasks, ${passed} right; ${DRAWS} draws, reference of ${REFERENCE_PAIRS} pairs\n`);
const { qualities, referenceAgreement } = await compareEstimators({ model, parameters, rollouts, advantages, windowLength, estimators, draws: DRAWS, referencePairs: REFERENCE_PAIRS, seed: SEED });
console.log("  estimator                  passes  bias (nats)  deviation (nats)  cosine of the gradient");
for (const { name, passes, bias, deviation, cosine } of qualities) {
  console.log(`  ${name.padEnd(26)} ${String(passes).padStart(6)} ${bias.toFixed(2).padStart(12)} ${deviation.toFixed(2).padStart(17)} ${cosine.toFixed(2).padStart(23)}`);
}
console.log(`\n  cosine between halves of the reference: ${referenceAgreement.toFixed(2)}`);
process.exit(0);
