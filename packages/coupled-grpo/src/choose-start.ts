import { readSafetensors, type NamedTensor } from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore, StageContext } from "@diffucoder/lineage";
import type { ModelSampler } from "@diffucoder/model";
import { generateTasks, scoreAnswers } from "@diffucoder/tasks";
import type { Sandbox } from "@diffucoder/sandbox";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { candidatePath, type StartingModel } from "@diffucoder/training";
import { mixedGroupShare } from "./advantages.ts";
import type { Recipe } from "./config.ts";
import { NoStartInWindow } from "./errors.ts";
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
 */
export async function chooseStart(options: {
  readonly start: StartingModel;
  readonly checkpoint: ArtifactRef;
  readonly recipe: Recipe;
  readonly seed: number;
  readonly tokenizer: Tokenizer;
  readonly sampler: ModelSampler;
  readonly sandbox: Sandbox;
  readonly context: StageContext;
}): Promise<ChosenStart> {
  const { start, checkpoint, recipe, context } = options;
  const meta = (await context.artifacts.manifest(checkpoint)).meta as { step: number; candidates?: number[] };
  const { start: rule } = recipe;
  if (rule.rule === "final") return { step: meta.step, parameters: start.parameters, measured: [] };
  const measured: Measurement[] = [];
  const steps = [...new Set([...(meta.candidates ?? []), meta.step])].sort((a, b) => b - a);
  for (const [index, step] of steps.entries()) {
    context.report({ step: index, totalSteps: steps.length, unit: "candidates", note: `measuring step ${step}` });
    const parameters = await parametersOfStep(context.artifacts, checkpoint, start, step);
    const measurement = { step, ...(await measure(parameters, rule.tasks, options)) };
    measured.push(measurement);
    context.log(`candidate of step ${step}: pass rate ${measurement.passRate.toFixed(3)}, mixed groups ${measurement.mixedGroups.toFixed(2)}`);
    const isInWindow = measurement.passRate >= rule.lowestPassRate && measurement.passRate <= rule.highestPassRate;
    if (isInWindow && measurement.mixedGroups >= rule.lowestMixedGroups) return { step, parameters, measured };
  }
  throw new NoStartInWindow(measured, `pass rate ${rule.lowestPassRate} to ${rule.highestPassRate} and mixed groups of at least ${rule.lowestMixedGroups}`);
}

/** Weights of a step that the instruction tuning kept, or of its end. */
export async function parametersOfStep(artifacts: ArtifactStore, checkpoint: ArtifactRef, start: StartingModel, step: number): Promise<ReadonlyMap<string, NamedTensor>> {
  const { meta, files } = await artifacts.manifest(checkpoint);
  const isKept = files.some(({ path }) => path === candidatePath(step));
  return meta.step === step || !isKept ? start.parameters : readSafetensors(await artifacts.file(checkpoint, candidatePath(step)));
}

async function measure(
  parameters: ReadonlyMap<string, NamedTensor>,
  taskCount: number,
  { start, recipe, seed, tokenizer, sampler, sandbox }: Parameters<typeof chooseStart>[0],
): Promise<Omit<Measurement, "step">> {
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
  const known = scores.filter((score) => score !== null);
  return {
    passRate: known.filter(({ passed }) => passed).length / Math.max(1, known.length),
    mixedGroups: mixedGroupShare(groupsOf(scores.map((score) => rewardOf(score, recipe.reward)), groupSize)),
  };
}
