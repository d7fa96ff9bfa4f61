import type { NamedTensor } from "@diffucoder/formats";
import { StageCancelled, type ArtifactRef, type ArtifactStore, type StageContext } from "@diffucoder/lineage";
import { loadParameters, type ModelBlockSampler, type ModelSampler } from "@diffucoder/model";
import { generateTasks, scoreAnswers } from "@diffucoder/tasks";
import type { Sandbox } from "@diffucoder/sandbox";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { candidatePath, type StartingModel } from "@diffucoder/training";
import { mixedGroupShare } from "./advantages.ts";
import type { Recipe } from "./config.ts";
import { NoRewards, NoStartInWindow } from "./errors.ts";
import { groupsOf, rewardOf } from "./reward.ts";
import { encodeTask, rollOut } from "./rollout.ts";

/** How well one checkpoint of the instruction tuning does when it is sampled. */
export interface Measurement {
  readonly step: number;
  readonly passRate: number;
  /** Share of groups whose rewards are not all equal: only those teach anything. */
  readonly mixedGroups: number;
}

export interface ChosenStart {
  readonly step: number;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly measured: readonly Measurement[];
}

/**
 * Picks the latest instruction-tuned checkpoint from which reinforcement can learn.
 *
 * Candidates are measured from the last one back, on the selection split, until one lies in the window: a model that
 * nearly always fails or nearly always passes gives groups of equal rewards, hence no gradient.
 *
 * @throws NoStartInWindow with all measurements
 * @throws NoRewards when the sandbox fails on every completion of a candidate
 * @throws StageCancelled between two candidates, when the signal asks for it
 */
export async function chooseStart(options: {
  readonly start: StartingModel;
  readonly checkpoint: ArtifactRef;
  readonly recipe: Recipe;
  readonly seed: number;
  readonly tokenizer: Tokenizer;
  readonly sampler: ModelSampler | ModelBlockSampler;
  readonly sandbox: Sandbox;
  readonly context: StageContext;
}): Promise<ChosenStart> {
  const { start, checkpoint, recipe, context } = options;
  const { final, candidates } = await stepsOf(context.artifacts, checkpoint);
  const { start: rule } = recipe;
  if (rule.rule === "final") return { step: final, parameters: start.parameters, measured: [] };
  const measured: Measurement[] = [];
  const steps = [...new Set([...candidates, final])].sort((a, b) => b - a);
  for (const [index, step] of steps.entries()) {
    if (context.signal.aborted) throw new StageCancelled("coupled-grpo");
    context.report({ step: index, totalSteps: steps.length, unit: "candidates", note: `measuring step ${step}` });
    const parameters = await parametersOfStep(context.artifacts, checkpoint, start, step);
    const measurement = { step, ...(await measure({ ...options, parameters, step, taskCount: rule.tasks })) };
    measured.push(measurement);
    context.log(`candidate of step ${step}: pass rate ${measurement.passRate.toFixed(3)}, mixed groups ${measurement.mixedGroups.toFixed(2)}`);
    const isInWindow = measurement.passRate >= rule.lowestPassRate && measurement.passRate <= rule.highestPassRate;
    if (isInWindow && measurement.mixedGroups >= rule.lowestMixedGroups) return { step, parameters, measured };
  }
  throw new NoStartInWindow(measured, `pass rate ${rule.lowestPassRate} to ${rule.highestPassRate} and mixed groups of at least ${rule.lowestMixedGroups}`);
}

/** Weights of a step that the instruction tuning kept, or of its end. @throws ArtifactMissing, ArtifactCorrupt, FormatError, ModelError */
export async function parametersOfStep(artifacts: ArtifactStore, checkpoint: ArtifactRef, start: StartingModel, step: number): Promise<ReadonlyMap<string, NamedTensor>> {
  const { final } = await stepsOf(artifacts, checkpoint);
  return step === final ? start.parameters : loadParameters(start.model, (path) => artifacts.file(checkpoint, path, { verify: true }), candidatePath(step));
}

/** Last step of the training that made a checkpoint, and the earlier ones it kept; a foreign checkpoint is at step 0. */
async function stepsOf(artifacts: ArtifactStore, checkpoint: ArtifactRef): Promise<{ final: number; candidates: readonly number[] }> {
  const { step = 0, candidates = [] } = (await artifacts.manifest(checkpoint)).meta as { step?: number; candidates?: number[] };
  return { final: step, candidates };
}

async function measure(
  options: Parameters<typeof chooseStart>[0] & { readonly parameters: ReadonlyMap<string, NamedTensor>; readonly step: number; readonly taskCount: number },
): Promise<Omit<Measurement, "step">> {
  const { start, recipe, seed, tokenizer, sampler, sandbox, parameters, step, taskCount } = options;
  const { groupSize } = recipe;
  const tasks = generateTasks({ families: recipe.tasks.families, split: "selection", count: taskCount, seed });
  sampler.setParameters(parameters);
  const rollouts = rollOut(
    sampler,
    tasks.map((task) => encodeTask(task, tokenizer)),
    {
      groupSize,
      recipe: recipe.rollout,
      model: start.model,
      tokenizer,
      streamOf: (sample) => ({ seed, stage: "coupled-grpo", sample, purpose: "choice of start" }),
    },
  );
  const scores = await scoreAnswers(sandbox, rollouts);
  const known = scores.filter((score) => score.status !== null);
  if (known.length === 0) throw new NoRewards(`candidate of step ${step}`, scores.length);
  return {
    passRate: known.filter(({ passed }) => passed).length / known.length,
    mixedGroups: mixedGroupShare(groupsOf(scores.map((score) => rewardOf(score, recipe)), groupSize)),
  };
}
