// Axes: B completions of a round, C completion window, N = B * C.
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { engineAssets } from "@diffucoder/engine";
import { saveCheckpoint, type NamedTensor } from "@diffucoder/formats";
import {
  InvalidRecipe,
  StageCancelled,
  type JsonObject,
  type StageContext,
  type StageDefinition,
  type StageRequest,
  type StageResult,
} from "@diffucoder/lineage";
import { openSampler, parameterCount, toHuggingFace, type ModelBlockSampler, type ModelSampler } from "@diffucoder/model";
import { createSandbox, sandboxAssets, type Sandbox } from "@diffucoder/sandbox";
import { generateTasks, scoreAnswers, type NoVerdict, type Score, type TaskSplit } from "@diffucoder/tasks";
import { Tokenizer } from "@diffucoder/tokenizer";
import { NonFiniteLoss, learningRateAt, loadStart, planFurtherTraining, refuseWithoutMemory, sampleOrder, type StartingModel } from "@diffucoder/training";
import { advantagesOf, mixedGroupShare, perToken } from "./advantages.ts";
import { chooseStart, parametersOfStep } from "./choose-start.ts";
import { executionSchema, recipeSchema, type Execution, type Recipe } from "./config.ts";
import { NoRewards } from "./errors.ts";
import { estimateShape, type MaskSeed } from "./estimate.ts";
import { layOutPolicyBatch } from "./policy-batch.ts";
import { Policy, type PolicyUpdate } from "./policy.ts";
import { readReinforcement, writeReinforcement, type ReinforcementState } from "./reinforcement-state.ts";
import { groupsOf, rewardOf } from "./reward.ts";
import { encodeTask, rollOut, type EncodedTask, type Rollout } from "./rollout.ts";

/**
 * Coupled-GRPO: reinforcement from running the sampled programs, with complementary masks for low-variance
 * log-probabilities. Gives the trained policy and, as `start`, the checkpoint it began with.
 *
 * @source DiffuCoder, arXiv:2506.20639v2, section 4 and algorithm 1
 */
export const coupledGrpoStage: StageDefinition<Recipe, Execution> = {
  name: "coupled-grpo",
  packageName: "@diffucoder/coupled-grpo",
  entry: import.meta.filename,
  assets: [...engineAssets, ...sandboxAssets],
  resource: "train",
  inputs: { checkpoint: { kind: "checkpoint" } },
  outputs: { checkpoint: "checkpoint", start: "checkpoint" },
  recipeSchema,
  executionSchema,
  plan: (recipe, { checkpoint }) => {
    const { rounds, updatesPerRound, tasksPerRound, groupSize, canvasLength } = recipe;
    const completions = tasksPerRound * groupSize;
    const { passes } = estimateShape(recipe.logProbs);
    // The old log-probabilities of a round's first update come from the graph that computes it, and so cost as much.
    const trained = rounds * (updatesPerRound + 1);
    const training = planFurtherTraining("coupled-grpo", { steps: trained, batchSize: passes * completions, canvasLength }, checkpoint);
    const forwardFlops = training.flops! / training.tokens! / 3;
    // Those of its later ones and the reference's, and the decoding.
    const canvasesRead = rounds * completions * (passes * (2 * updatesPerRound - 1) + recipe.rollout.steps);
    const read = canvasesRead * canvasLength;
    return { ...training, tokens: training.tokens! + read, flops: training.flops! + read * forwardFlops };
  },
  run: runCoupledGrpo,
};

async function runCoupledGrpo(request: StageRequest<Recipe, Execution>, context: StageContext): Promise<StageResult> {
  const reinforcement = await Reinforcement.prepare(request, context);
  try {
    return await reinforcement.run();
  } finally {
    await reinforcement.close();
  }
}

/** Found now, not in the round that first draws the task. */
function refuseLongPrompts(tasks: readonly EncodedTask[], canvasLength: number): void {
  const longest = tasks.reduce((a, b) => (b.prompt.length > a.prompt.length ? b : a));
  if (longest.prompt.length < canvasLength) return;
  throw new InvalidRecipe("stage coupled-grpo", [
    `canvasLength: expected more than the ${longest.prompt.length} prompt tokens of task ${longest.task.id} (${longest.task.instruction}), found ${canvasLength}`,
  ]);
}

/** What a round measured, beside its metrics line. */
interface ScoredRollout {
  readonly rollout: Rollout;
  readonly score: Score | NoVerdict;
  readonly reward: number | null;
  readonly advantage: number;
}

interface RoundUpdate extends PolicyUpdate {
  readonly learningRate: number;
  readonly coverage: number;
  /** One for each completion. */
  readonly maskSeeds: readonly MaskSeed[];
}

class Reinforcement {
  readonly #request: StageRequest<Recipe, Execution>;
  readonly #context: StageContext;
  readonly #start: StartingModel;
  readonly #tokenizer: Tokenizer;
  readonly #tasks: readonly EncodedTask[];
  readonly #orderOf: (draw: number) => number;
  readonly #windowLength: number;
  readonly #sandbox: Sandbox;
  readonly #sampler: ModelSampler | ModelBlockSampler;
  readonly #policy: Policy;

  private constructor(parts: {
    request: StageRequest<Recipe, Execution>;
    context: StageContext;
    start: StartingModel;
    tokenizer: Tokenizer;
    tasks: readonly EncodedTask[];
    windowLength: number;
    sandbox: Sandbox;
    sampler: ModelSampler | ModelBlockSampler;
    policy: Policy;
  }) {
    this.#request = parts.request;
    this.#context = parts.context;
    this.#start = parts.start;
    this.#tokenizer = parts.tokenizer;
    this.#tasks = parts.tasks;
    this.#windowLength = parts.windowLength;
    this.#sandbox = parts.sandbox;
    this.#sampler = parts.sampler;
    this.#policy = parts.policy;
    const root = parts.tasks.map(({ task }) => task.id).join();
    this.#orderOf = sampleOrder({ seed: parts.request.seed, stage: "coupled-grpo", root, sampleCount: parts.tasks.length });
  }

  static async prepare(request: StageRequest<Recipe, Execution>, context: StageContext): Promise<Reinforcement> {
    const { recipe, execution, inputs, seed } = request;
    const start = await loadStart(context.artifacts, inputs.checkpoint!);
    const tokenizer = Tokenizer.fromJson(start.tokenizerJson);
    const tasksOf = (split: TaskSplit, count: number) =>
      generateTasks({ families: recipe.tasks.families, split, count, seed }).map((task) => encodeTask(task, tokenizer));
    const tasks = tasksOf("reinforcement", recipe.tasks.count);
    const measured = recipe.start.rule === "window" ? tasksOf("selection", recipe.start.tasks) : [];
    refuseLongPrompts([...tasks, ...measured], recipe.canvasLength);
    refuseWithoutMemory("coupled-grpo", coupledGrpoStage.plan!(recipe, { checkpoint: { facts: { model: toHuggingFace(start.model) as never } } }), context);
    const windowLength = recipe.canvasLength - Math.min(...[...tasks, ...measured].map(({ prompt }) => prompt.length));
    const { canvasLength, tasksPerRound, groupSize } = recipe;
    const shape = { batchSize: tasksPerRound * groupSize, canvasLength, windowLength };
    const sandbox = await createSandbox({ workers: execution.sandboxWorkers });
    try {
      const sampler = await openSampler(start.model, recipe.rollout, { ...shape, dtype: "fp32" });
      const policy = await Policy.create(start.model, shape, recipe);
      return new Reinforcement({ request, context, start, tokenizer, tasks, windowLength, sandbox, sampler, policy });
    } catch (error) {
      await sandbox.close();
      throw error;
    }
  }

  async run(): Promise<StageResult> {
    const { recipe, execution } = this.#request;
    const state = await this.#startOrResume();
    while (state.round < recipe.rounds) {
      await setImmediate(); // lets signals through
      if (this.#context.signal.aborted) {
        await this.#checkpoint(state);
        throw new StageCancelled("coupled-grpo", state.round);
      }
      await this.#round(state);
      if (state.round % execution.checkpointEveryRounds === 0 && state.round < recipe.rounds) await this.#checkpoint(state);
    }
    return this.#finish(state);
  }

  async close(): Promise<void> {
    this.#policy.dispose();
    this.#sampler.dispose();
    await this.#sandbox.close();
  }

  async #startOrResume(): Promise<ReinforcementState> {
    const { resumeFrom, artifacts, log } = this.#context;
    if (resumeFrom !== undefined) {
      const { state, checkpoint } = await readReinforcement(artifacts, resumeFrom.ref);
      this.#policy.writeParameters(checkpoint.parameters);
      this.#policy.writeOptimizer(checkpoint.optimizer!);
      log(`resumed at round ${state.round}`);
      return state;
    }
    const { recipe, inputs, seed } = this.#request;
    const chosen = await chooseStart({
      start: this.#start,
      checkpoint: inputs.checkpoint!,
      recipe,
      seed,
      tokenizer: this.#tokenizer,
      sampler: this.#sampler,
      sandbox: this.#sandbox,
      context: this.#context,
    });
    this.#policy.writeParameters(chosen.parameters);
    return { round: 0, startStep: chosen.step, measured: chosen.measured, reference: chosen.parameters, metrics: [...this.#start.metrics], rollouts: [] };
  }

  async #round(state: ReinforcementState): Promise<void> {
    const { recipe } = this.#request;
    const round = state.round + 1;
    const scored = await this.#sampleAndScore(round);
    const updates = this.#update(round, scored, state);
    const line = { stage: "coupled-grpo", step: round, ...roundMetrics(scored, recipe.groupSize), ...updateMetrics(updates) };
    state.metrics.push(line);
    state.rollouts.push(...scored.map((item, sample) => rolloutLine(round, sample, item, updates.map(({ maskSeeds }) => maskSeeds[sample]!))));
    state.round = round;
    this.#context.report({ step: round, totalSteps: recipe.rounds, unit: "rounds", metrics: { reward: line.reward, passRate: line.passRate } });
  }

  async #sampleAndScore(round: number): Promise<ScoredRollout[]> {
    const { recipe, seed } = this.#request;
    const { tasksPerRound, groupSize } = recipe;
    const tasks = Array.from({ length: tasksPerRound }, (_, i) => this.#tasks[this.#orderOf((round - 1) * tasksPerRound + i)]!);
    this.#sampler.setParameters(this.#policy.readParameters());
    const rollouts = rollOut(this.#sampler, tasks, {
      groupSize,
      recipe: recipe.rollout,
      model: this.#start.model,
      tokenizer: this.#tokenizer,
      streamOf: (sample) => ({ seed, stage: "coupled-grpo", step: round, sample, purpose: "rollout" }),
    });
    const scores = await scoreAnswers(this.#sandbox, rollouts);
    const rewards = scores.map((score) => rewardOf(score, recipe));
    if (scores.every(({ status }) => status === null)) throw new NoRewards(`round ${round}`, rewards.length);
    const advantages = groupsOf(rewards, groupSize).flatMap((group) => [...advantagesOf(group, recipe.advantage)]);
    return rollouts.map((rollout, i) => ({ rollout, score: scores[i]!, reward: rewards[i]!, advantage: advantages[i]! }));
  }

  #update(round: number, scored: readonly ScoredRollout[], state: ReinforcementState): RoundUpdate[] {
    const { recipe, seed } = this.#request;
    const { updatesPerRound, rounds, logProbs: estimator } = recipe;
    const policy = this.#policy;
    const steps = Array.from({ length: updatesPerRound }, (_, i) => (round - 1) * updatesPerRound + i + 1);
    const batches = steps.map((step) =>
      layOutPolicyBatch({
        rollouts: scored.map(({ rollout }) => rollout),
        windowLength: this.#windowLength,
        maskId: this.#start.model.maskId,
        estimator,
        seed,
        step: estimator.masks === "coupled" && estimator.drawnPer === "round" ? steps[0]! : step,
      }),
    );
    // Old and reference log-probabilities are those under each update's own masks, before the first update.
    const oldLogProbs = batches.map((batch, i) => (i === 0 ? policy.logProbs(batch) : policy.laterLogProbs(batch)));
    const referenceLogProbs = policy.referenceLogProbs(batches, state.reference);
    const advantages = perToken(scored.map(({ advantage }) => advantage), this.#windowLength);
    return steps.map((step, i) => {
      const learningRate = learningRateAt(step, rounds * updatesPerRound, recipe.optimizer);
      const terms = { advantages, oldLogProbs: oldLogProbs[i]!, referenceLogProbs: referenceLogProbs[i]! };
      const update = policy.update(batches[i]!, terms, { learningRate, step });
      if (!Number.isFinite(update.loss) || !Number.isFinite(update.gradientNorm)) {
        const documents = [...new Set(scored.map(({ rollout }) => rollout.task.id))];
        throw new NonFiniteLoss({ stage: "coupled-grpo", step, loss: update.loss, gradientNorm: update.gradientNorm, documents });
      }
      if (step % recipe.referenceSyncSteps === 0) state.reference = blend(state.reference, policy.readParameters(), recipe.referenceShare);
      return { ...update, learningRate, coverage: batches[i]!.coverage, maskSeeds: batches[i]!.maskSeeds };
    });
  }

  #weights() {
    return {
      config: toHuggingFace(this.#start.model),
      parameters: this.#policy.readParameters(),
      tokenizerJson: this.#start.tokenizerJson,
      optimizer: this.#policy.readOptimizer(),
    };
  }

  async #checkpoint(state: ReinforcementState): Promise<void> {
    const directory = join(this.#context.scratchDir, `round-${state.round}`);
    await writeReinforcement(directory, state, this.#weights());
    await this.#context.saveCheckpoint(state.round, directory, { stage: "coupled-grpo", step: state.round });
  }

  async #finish(state: ReinforcementState): Promise<StageResult> {
    const { scratchDir, artifacts } = this.#context;
    const origin = this.#request.inputs.checkpoint!;
    const { stage: startStage = "unknown" } = (await artifacts.manifest(origin)).meta;
    const { model, history, tokenizerJson } = this.#start;
    const meta = { parameterCount: parameterCount(model), history: [...history], startStep: state.startStep };
    const checkpoint = join(scratchDir, "checkpoint");
    await writeReinforcement(checkpoint, state, this.#weights());
    const start = join(scratchDir, "start");
    await saveCheckpoint(start, {
      config: toHuggingFace(model),
      parameters: await parametersOfStep(artifacts, origin, this.#start, state.startStep),
      tokenizerJson,
      trainerState: { step: state.startStep, measured: state.measured },
      metrics: this.#start.metrics,
    });
    return {
      outputs: {
        checkpoint: { kind: "checkpoint", directory: checkpoint, meta: { stage: "coupled-grpo", step: state.round, ...meta } },
        start: { kind: "checkpoint", directory: start, meta: { stage: startStage, step: state.startStep, ...meta } },
      },
      summary: summarize(state),
    };
  }
}

interface KnownRollout extends ScoredRollout {
  readonly score: Score;
}

const isKnown = (item: ScoredRollout): item is KnownRollout => item.score.status !== null;

function roundMetrics(scored: readonly ScoredRollout[], groupSize: number) {
  const known = scored.filter(isKnown);
  const mean = (valueOf: (item: KnownRollout) => number) => known.reduce((sum, item) => sum + valueOf(item), 0) / known.length;
  return {
    reward: mean(({ reward }) => reward!),
    passRate: mean(({ score }) => (score.passed ? 1 : 0)),
    checksPassed: mean(({ score }) => score.passRate),
    format: mean(({ score }) => score.format),
    mixedGroups: mixedGroupShare(groupsOf(scored.map(({ reward }) => reward), groupSize)),
    sandboxFaults: scored.length - known.length,
    completionLength: mean(({ rollout }) => rollout.liveLength),
  };
}

/** Of the round's last update, the one furthest from where the rollouts were sampled. */
function updateMetrics(updates: readonly RoundUpdate[]) {
  const { loss, divergence, clippedShare, gradientNorm, learningRate, coverage } = updates.at(-1)!;
  return { loss, divergence, clippedShare, gradientNorm, learningRate, ...(coverage < 1 ? { coverage } : {}) };
}

/** The reference after it followed the policy: its own share of the old one stays. */
function blend(reference: ReadonlyMap<string, NamedTensor>, policy: ReadonlyMap<string, NamedTensor>, share: number): ReadonlyMap<string, NamedTensor> {
  if (share === 1) return policy;
  return new Map([...policy].map(([name, { shape, data }]) => [name, { shape, data: data.map((value, i) => share * value + (1 - share) * reference.get(name)!.data[i]!) }]));
}

/** Enough to judge a completion again and to draw it, and the masks of each update, a second time. */
function rolloutLine(round: number, sample: number, { rollout, score, reward, advantage }: ScoredRollout, maskSeeds: readonly MaskSeed[]): string {
  const { task, completion, trace, promptLength, liveLength } = rollout;
  return JSON.stringify({
    round,
    sample,
    task: task.id,
    completion,
    status: score.status,
    ...(score.status === null ? { cause: score.cause } : {}),
    reward,
    advantage,
    promptLength,
    liveLength,
    trace: [...trace],
    maskSeeds,
  });
}

function summarize({ round, metrics: allMetrics, startStep, measured }: ReinforcementState): JsonObject {
  const metrics = allMetrics.slice(-round); // those of earlier stages come first
  const meanOver = (name: string, lines: typeof allMetrics) => lines.reduce((sum, line) => sum + Number(line[name]), 0) / lines.length;
  const span = Math.max(1, Math.floor(metrics.length / 5));
  return {
    rounds: metrics.length,
    startStep,
    measured: measured.map((measurement) => ({ ...measurement })),
    rewardAtStart: meanOver("reward", metrics.slice(0, span)),
    rewardAtEnd: meanOver("reward", metrics.slice(-span)),
    passRateAtStart: meanOver("passRate", metrics.slice(0, span)),
    passRateAtEnd: meanOver("passRate", metrics.slice(-span)),
    sandboxFaults: metrics.reduce((sum, line) => sum + Number(line.sandboxFaults), 0),
  };
}
