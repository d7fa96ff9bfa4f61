// Axes: B canvases, T tokens per canvas, R masked rows (padded).
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { createProgram, type Program } from "@diffucoder/engine";
import { StageCancelled, type ArtifactRef, type StageContext, type StageResult } from "@diffucoder/lineage";
import { cartWeights, decays, diffusionFeeds, diffusionLossGraph, inverseLevelWeights, joinedParameters, parameterCount, parameterShapes, toHuggingFace, type LossWeights } from "@diffucoder/model";
import type { BatchSource, DiffusionBatch } from "./batch-source.ts";
import { aheadCount, batchesAhead } from "./batches-ahead.ts";
import type { TrainingExecution, TrainingRecipe } from "./config.ts";
import { NonFiniteLoss } from "./errors.ts";
import { learningRateAt } from "./learning-rate.ts";
import { ledgerEntry } from "./ledger.ts";
import type { StartingModel } from "./load-start.ts";
import { hiddenCount, microBatchSize, splitBatch } from "./micro-batches.ts";
import { planTraining, refuseWithoutMemory } from "./plan.ts";
import { batchOfStep, isBadStep, type KeptState } from "./rollback.ts";
import { timeSource } from "./timed-source.ts";
import { readTraining, writeTraining, type TrainingState } from "./training-state.ts";
import type { TrainingSummary } from "./training-summary.ts";

export interface DiffusionTraining extends StartingModel {
  readonly stage: string;
  readonly source: BatchSource;
  readonly recipe: TrainingRecipe;
  readonly execution: TrainingExecution;
  /** Steps whose weights the result keeps beside the final ones. */
  readonly keepSteps?: readonly number[];
}

/**
 * Trains a masked-diffusion model and returns its checkpoint.
 *
 * Stopped at any step and resumed, it gives the same bytes: the batch is a function of the step, and weights, moments
 * and metrics are stored in full.
 *
 * With a roll-back rule, a bad step takes training back to the last kept state, and the batches since are left out. States
 * are kept at fixed steps, whatever checkpoints are saved, so that the result does not depend on those.
 *
 * The summary is that of the checkpoint's history, and `loaderWaitShare`: of the time of this attempt's steps, how much
 * went by until the next batch was there.
 *
 * @throws StageCancelled after saving a checkpoint, when the signal asks for it
 * @throws NonFiniteLoss
 * @throws NotEnoughMemory before anything is computed
 */
export async function trainDiffusion(given: DiffusionTraining, context: StageContext): Promise<StageResult> {
  refuseWithoutMemory(given.stage, planTraining(given.model, given.recipe, {}), context);
  const source = timeSource(batchesAhead(given.source, aheadCount(given.recipe), given.recipe.steps), context.now);
  const training = { ...given, source };
  const { stage, recipe, execution, keepSteps = [] } = training;
  const trainer = await Trainer.create(training, context.numerics.dtype);
  try {
    const state = await startOrResume(trainer, training, context);
    while (state.step < recipe.steps) {
      // The step holds the thread; this is where signals and progress get through.
      await setImmediate();
      if (context.signal.aborted) {
        await checkpoint(trainer, state, training, context);
        throw new StageCancelled(stage, state.step);
      }
      const { rollback } = recipe;
      if (rollback !== undefined && state.step % rollback.everySteps === 0) state.kept = trainer.state(state.step);
      if (!(await trainOneStep(trainer, state, training, context))) continue;
      if (keepSteps.includes(state.step)) state.candidates.set(state.step, trainer.program.readVariables());
      const isDue = state.step % execution.checkpointEverySteps === 0 && state.step < recipe.steps;
      if (isDue) await checkpoint(trainer, state, training, context);
    }
    // Of this attempt, and not to be repeated: it belongs to the run's record, not to the checkpoint.
    const loaderWaitShare = source.waitShare();
    const { outputs, summary } = await finish(trainer, state, training, context);
    return { outputs, summary: { ...summary, loaderWaitShare } };
  } finally {
    trainer.program.dispose();
  }
}

async function startOrResume(trainer: Trainer, training: DiffusionTraining, context: StageContext): Promise<TrainingState> {
  if (context.resumeFrom === undefined) {
    trainer.program.writeVariables(training.parameters);
    const validationLossAtStart = await validationLoss(trainer, training, context);
    return { step: 0, validationLossAtStart, metrics: [...training.metrics], ledger: [], candidates: new Map(), rollbacks: [] };
  }
  const { state, checkpoint } = await readTraining(context.artifacts, context.resumeFrom.ref);
  trainer.program.writeVariables(checkpoint.parameters);
  trainer.program.writeOptimizer(checkpoint.optimizer!);
  context.log(`resumed at step ${state.step}`);
  return state;
}

/** @returns whether the step stands; if not, training is back at an earlier one */
async function trainOneStep(trainer: Trainer, state: TrainingState, training: DiffusionTraining, context: StageContext): Promise<boolean> {
  const { stage, recipe, source } = training;
  const step = state.step + 1;
  const batchNumber = batchOfStep(step, state.rollbacks);
  const batch = await source.trainingBatch(batchNumber);
  const learningRate = learningRateAt(step, recipe.steps, recipe.optimizer);
  const { loss, lossPerMasked, crossEntropy, gradientNorm } = trainer.step(batch, { learningRate, step });
  if (isBadStep({ loss, gradientNorm }, recipe.rollback)) {
    if (recipe.rollback === undefined || state.rollbacks.length === recipe.rollback.limit) {
      throw new NonFiniteLoss({ stage, step, batch: batchNumber, loss, gradientNorm, documents: batch.documents, rollbacks: state.rollbacks.length, largestGradientNorm: recipe.rollback?.largestGradientNorm });
    }
    rollBack(trainer, state, { batchNumber, loss, gradientNorm }, context);
    return false;
  }
  state.step = step;
  state.metrics.push({
    stage,
    step,
    loss,
    lossPerMasked,
    crossEntropy,
    gradientNorm,
    learningRate,
    tokens: step * recipe.batchSize * recipe.canvasLength,
    ...(recipe.rollback === undefined ? {} : { batch: batchNumber }),
  });
  state.ledger.push(ledgerEntry(step, recipe.batchSize, batch.documents, batchNumber));
  context.report({ step, totalSteps: recipe.steps, unit: "steps", metrics: { loss } });
  return true;
}

/** Returns to the kept state and leaves out all batches since: which of them did the harm is not known. */
function rollBack(trainer: Trainer, state: TrainingState, bad: { batchNumber: number; loss: number; gradientNorm: number }, context: StageContext): void {
  const { step: toStep, parameters, optimizer } = state.kept!;
  trainer.program.writeVariables(parameters);
  trainer.program.writeOptimizer(optimizer);
  const undone = state.step - toStep;
  state.metrics.length -= undone;
  state.ledger.length -= undone;
  for (const kept of state.candidates.keys()) if (kept > toStep) state.candidates.delete(kept);
  const end = bad.batchNumber + 1;
  state.rollbacks.push({ fromStep: state.step + 1, toStep, batches: [end - undone - 1, end], loss: String(bad.loss), gradientNorm: String(bad.gradientNorm) });
  context.log(`step ${state.step + 1}: loss ${bad.loss}, gradient norm ${bad.gradientNorm}; back at step ${toStep}, without batches ${end - undone - 1} to ${bad.batchNumber}`);
  state.step = toStep;
}

async function validationLoss(trainer: Trainer, { source, recipe, stage }: DiffusionTraining, context: StageContext): Promise<number> {
  let sum = 0;
  for (let index = 0; index < recipe.validationBatches; index++) {
    context.report({ step: index, totalSteps: recipe.validationBatches, unit: "validation batches", note: `validating ${stage}` });
    sum += trainer.loss(await source.validationBatch(index));
    await setImmediate();
  }
  return sum / recipe.validationBatches;
}

async function checkpoint(trainer: Trainer, state: TrainingState, training: DiffusionTraining, context: StageContext): Promise<ArtifactRef> {
  await training.source.recheck?.();
  const directory = join(context.scratchDir, `step-${state.step}`);
  await writeTraining(directory, state, trainer.weights());
  return context.saveCheckpoint(state.step, directory, { stage: training.stage, step: state.step });
}

async function finish(trainer: Trainer, state: TrainingState, training: DiffusionTraining, context: StageContext): Promise<StageResult> {
  const { stage, recipe, model, history } = training;
  const summary: TrainingSummary = {
    stage,
    steps: recipe.steps,
    tokens: recipe.steps * recipe.batchSize * recipe.canvasLength,
    validationLossAtStart: state.validationLossAtStart,
    validationLossAtEnd: await validationLoss(trainer, training, context),
    uniformLoss: Math.log(model.vocabSize),
    ...(state.rollbacks.length === 0 ? {} : { rollbacks: state.rollbacks }),
  };
  await training.source.recheck?.();
  const directory = join(context.scratchDir, "result");
  await writeTraining(directory, { ...state, kept: undefined }, trainer.weights());
  const meta = { stage, step: state.step, parameterCount: parameterCount(model), history: [...history, summary], candidates: [...state.candidates.keys()] };
  return { outputs: { checkpoint: { kind: "checkpoint", directory, meta } }, summary };
}

/** The model's graphs, one for each number of masked rows, and the batches laid out for them. */
class Trainer {
  readonly program: Program;
  readonly #training: DiffusionTraining;

  private constructor(program: Program, training: DiffusionTraining) {
    this.program = program;
    this.#training = training;
  }

  static async create(training: DiffusionTraining, dtype: "fp32" | "bf16"): Promise<Trainer> {
    const { model, recipe, source } = training;
    const { canvasLength, optimizer, microBatches } = recipe;
    const batchSize = microBatchSize(recipe);
    const graphs = rowCapacities(batchSize * canvasLength).flatMap((rowCapacity) =>
      (source.annealed ? [false, true] : [false]).map((annealed) => {
        const graph = diffusionLossGraph(model, { batchSize, canvasLength, rowCapacity, annealed });
        return [graphName(rowCapacity, annealed), { ...graph, train: true as const }] as const;
      }),
    );
    const program = await createProgram({
      variables: parameterShapes(model),
      joins: joinedParameters(model),
      dtype,
      optimizer: {
        beta1: optimizer.beta1,
        beta2: optimizer.beta2,
        epsilon: optimizer.epsilon,
        weightDecay: optimizer.weightDecay,
        clipNorm: optimizer.clipNorm,
        decays: decays(model),
        accumulates: microBatches > 1,
      },
      graphs: Object.fromEntries(graphs),
    });
    return new Trainer(program, training);
  }

  /** One step on the mean gradient of the batch's parts, and the figures of the whole batch. */
  step(batch: DiffusionBatch, at: { learningRate: number; step: number }): StepFigures {
    const { recipe } = this.#training;
    const parts = splitBatch(batch, recipe.microBatches);
    let gradientNorm = NaN;
    const outputs = parts.map((part, i) => {
      const { graph, feeds } = this.#layOut(part, weightsOf(recipe));
      if (i < parts.length - 1) return this.program.accumulate(graph, feeds).outputs;
      const taken = this.program.trainStep(graph, feeds, at);
      gradientNorm = taken.gradientNorm;
      return taken.outputs;
    });
    const figure = (name: string) => outputs.map((output) => output[name]![0]!);
    const hidden = parts.map(hiddenCount);
    return { loss: mean(figure("loss")), lossPerMasked: mean(figure("lossPerMasked"), hidden), crossEntropy: mean(figure("crossEntropy"), hidden), gradientNorm };
  }

  loss(batch: DiffusionBatch): number {
    const losses = splitBatch(batch, this.#training.recipe.microBatches).map((part) => {
      const { graph, feeds } = this.#layOut(part, inverseLevelWeights);
      return this.program.run(graph, feeds, ["loss"]).loss![0]!;
    });
    return mean(losses);
  }

  weights() {
    const { model, recipe, tokenizerJson } = this.#training;
    const maxPositions = Math.max(model.maxPositions, recipe.canvasLength);
    return { config: toHuggingFace({ ...model, maxPositions }), parameters: this.program.readVariables(), tokenizerJson, optimizer: this.program.readOptimizer() };
  }

  /** What training can go back to. */
  state(step: number): KeptState {
    return { step, parameters: this.program.readVariables(), optimizer: this.program.readOptimizer() };
  }

  #layOut(batch: DiffusionBatch, weights: LossWeights) {
    const { canvases, originals, maskableCount, attentionBias } = batch;
    const masked = hiddenCount(batch);
    const rowCapacity = rowCapacities(canvases.length * this.#training.recipe.canvasLength).find((capacity) => capacity >= masked)!;
    const feeds = diffusionFeeds({ canvases, originals, maskableCount, rowCapacity, weightsOf: weights });
    return {
      graph: graphName(rowCapacity, attentionBias !== undefined),
      feeds: { ...feeds, ...(attentionBias === undefined ? {} : { attentionBias }) },
    };
  }
}

interface StepFigures {
  readonly loss: number;
  readonly lossPerMasked: number;
  readonly crossEntropy: number;
  readonly gradientNorm: number;
}

/** Weighted mean; of a single value that value, whatever it weighs. */
function mean(values: readonly number[], weights: readonly number[] = values.map(() => 1)): number {
  if (values.length === 1) return values[0]!;
  const total = weights.reduce((a, b) => a + b, 0);
  return values.reduce((sum, value, i) => sum + value * weights[i]!, 0) / Math.max(1, total);
}

function weightsOf({ lossWeights }: TrainingRecipe): LossWeights {
  return lossWeights.kind === "cart" ? cartWeights(lossWeights.share) : inverseLevelWeights;
}

/** The head runs on masked rows only, about half of all; a few capacities keep the padding small. */
function rowCapacities(tokens: number): number[] {
  return [...new Set(CAPACITY_SHARES.map((share) => Math.ceil(tokens * share)))];
}

const CAPACITY_SHARES = [0.5625, 0.75, 1];

const graphName = (rowCapacity: number, annealed: boolean): string => `rows-${rowCapacity}${annealed ? "-annealed" : ""}`;
