import { globalArness, localArness, createSampler } from "@diffucoder/model";
import type { Sandbox } from "@diffucoder/sandbox";
import {
  extractCompletedProgram,
  passAtK,
  renderCompletionPrompt,
  renderPrompt,
  scoreAnswers,
  scoreProgram,
  type CodeTask,
  type CompletionTask,
  type Score,
} from "@diffucoder/tasks";
import { Tokenizer } from "@diffucoder/tokenizer";
import { decodeAnswers, type DecodedAnswer, type DecodingOptions } from "./answer.ts";
import { bootstrapInterval } from "./bootstrap-interval.ts";
import type { EvaluatedCheckpoint } from "./checkpoint-history.ts";
import type { Recipe } from "./config.ts";
import { PromptTooLong } from "./errors.ts";
import { judge } from "./judge.ts";
import type { Arness, CheckpointScores, Estimate } from "./report.ts";

/** One line of `samples.jsonl`. */
export interface SampleLine {
  readonly checkpoint: CheckpointScores["role"];
  readonly benchmark: "held-out" | "humaneval";
  readonly task: string;
  readonly kind: "greedy" | "sampled";
  readonly sample: number;
  readonly completion: string;
  readonly status: string;
  readonly cause: string;
  readonly passed: boolean;
}

export interface ScoringOptions {
  readonly role: CheckpointScores["role"];
  readonly tasks: readonly CodeTask[];
  readonly humaneval: readonly CompletionTask[];
  readonly recipe: Recipe;
  readonly seed: number;
  readonly dtype: "fp32" | "bf16";
  readonly sandbox: Sandbox;
  /** Says what comes next; throws when the work is to stop. */
  readonly onPhase: (note: string) => Promise<void>;
  /** A sign of life: something small is done. */
  readonly onStep: () => void;
}

/** Answers every task greedily and by sampling, and runs all answers. */
export async function scoreCheckpoint(
  evaluated: EvaluatedCheckpoint,
  options: ScoringOptions,
): Promise<{ scores: CheckpointScores; samples: SampleLine[]; sampledRates: number[] }> {
  const { role, tasks, recipe, seed } = options;
  const heldOut = await answerTasks(evaluated, options);
  const lines = await judgeTasks(heldOut, options);
  const greedyLines = lines.filter(({ kind }) => kind === "greedy");
  const passedOf = tasks.map((_, task) => lines.filter((line, i) => line.kind === "sampled" && heldOut[i]!.task === task && line.passed).length);
  const sampledRates = passedOf.map((passed) => passed / recipe.samples.perTask);
  const humaneval = options.humaneval.length === 0 ? undefined : await scoreHumanEval(evaluated, options);
  const greedyAnswers = heldOut.filter(({ kind }) => kind === "greedy").map(({ answer }) => answer);
  const scores: CheckpointScores = {
    role,
    stage: evaluated.stage,
    step: evaluated.step,
    digest: evaluated.ref.digest,
    greedy: estimate(greedyLines.map(({ passed }) => Number(passed)), seed),
    sampled: estimate(sampledRates, seed),
    passAtK: recipe.passAt.map((k) => ({ k, mean: mean(passedOf.map((passed) => passAtK(recipe.samples.perTask, passed, k))) })),
    arness: arnessOf(greedyAnswers.map(({ order }) => order), recipe.arnessK),
    arnessOfAnswer: arnessOf(greedyAnswers.map(({ order, liveLength }) => order.filter((position) => position < liveLength)), recipe.arnessK),
    verdicts: countStatuses(lines),
    ...(humaneval === undefined ? {} : { humaneval: humaneval.result }),
  };
  return { scores, samples: [...lines, ...(humaneval?.lines ?? [])], sampledRates };
}

interface TaskAnswer {
  /** Index of the task. */
  readonly task: number;
  readonly kind: "greedy" | "sampled";
  readonly sample: number;
  readonly answer: DecodedAnswer;
}

async function answerTasks({ model, checkpoint }: EvaluatedCheckpoint, { tasks, recipe, seed, dtype, onPhase, onStep }: ScoringOptions): Promise<TaskAnswer[]> {
  const tokenizer = Tokenizer.fromJson(checkpoint.tokenizerJson);
  const { canvasLength, steps, algorithm, topP, batchSize } = recipe.decoding;
  const prompts = tasks.map((task) => tokenizer.encode(renderPrompt(task), { specials: true }));
  prompts.forEach(({ length }, task) => {
    if (length >= canvasLength) throw new PromptTooLong(tasks[task]!.id, length, canvasLength);
  });
  const windowLength = canvasLength - Math.min(...prompts.map(({ length }) => length));
  const sampler = await createSampler(model, { batchSize, canvasLength, windowLength, dtype });
  try {
    sampler.setParameters(checkpoint.parameters);
    const decodeAll = (what: string, decoding: Pick<DecodingOptions, "temperature" | "topP" | "streamOf">) =>
      decodeAnswers(sampler, prompts, { model, tokenizer, steps, algorithm, ...decoding, onStep, onBatch: (done) => onPhase(`${what}, ${done} of ${prompts.length}`) });
    const greedy = await decodeAll("greedy answers", { temperature: 0, streamOf: (task) => ({ seed, stage: "evaluation", sample: task, purpose: "greedy" }) });
    const answers: TaskAnswer[] = greedy.map((answer, task) => ({ task, kind: "greedy", sample: 0, answer }));
    for (let sample = 0; sample < recipe.samples.perTask; sample++) {
      const sampled = await decodeAll(`sample ${sample + 1} of ${recipe.samples.perTask}`, {
        topP,
        temperature: recipe.samples.temperature,
        streamOf: (task) => ({ seed, stage: "evaluation", step: sample, sample: task, purpose: "sampled" }),
      });
      answers.push(...sampled.map((answer, task) => ({ task, kind: "sampled" as const, sample, answer })));
    }
    return answers;
  } finally {
    sampler.dispose();
  }
}

async function judgeTasks(answers: readonly TaskAnswer[], { role, tasks, sandbox, onPhase, onStep }: ScoringOptions): Promise<SampleLine[]> {
  await onPhase("running answers");
  const scores = await judge(answers, async ({ task, answer }) => {
    const [score] = await scoreAnswers(sandbox, [{ task: tasks[task]!, completion: answer.text }]);
    onStep();
    return score!;
  });
  return answers.map(({ task, kind, sample, answer }, i) => ({
    checkpoint: role,
    benchmark: "held-out",
    task: tasks[task]!.id,
    kind,
    sample,
    completion: answer.text,
    ...verdictOf(scores[i]!),
  }));
}

const verdictOf = ({ status, cause, passed }: Score) => ({ status, cause, passed });

/** One greedy completion for each HumanEval task. A prompt that leaves no room on the canvas is an outcome of its own. */
async function scoreHumanEval({ model, checkpoint }: EvaluatedCheckpoint, { role, humaneval, recipe, seed, dtype, sandbox, onPhase, onStep }: ScoringOptions) {
  const tokenizer = Tokenizer.fromJson(checkpoint.tokenizerJson);
  const { canvasLength, steps, batchSize } = recipe.humaneval!;
  const encoded = humaneval.map((task) => ({ task, prompt: tokenizer.encode(renderCompletionPrompt(task), { specials: true }) }));
  const fitting = encoded.filter(({ prompt }) => prompt.length + LEAST_ROOM <= canvasLength);
  const lineOf = (task: CompletionTask, completion: string, verdict: Pick<SampleLine, "status" | "cause" | "passed">): SampleLine => ({
    checkpoint: role,
    benchmark: "humaneval",
    task: task.id,
    kind: "greedy",
    sample: 0,
    completion,
    ...verdict,
  });
  const lines = encoded
    .filter((item) => !fitting.includes(item))
    .map(({ task, prompt }) => lineOf(task, "", { status: "prompt-too-long", cause: `${prompt.length} tokens on a canvas of ${canvasLength}`, passed: false }));
  if (fitting.length > 0) {
    const windowLength = canvasLength - Math.min(...fitting.map(({ prompt }) => prompt.length));
    const sampler = await createSampler(model, { batchSize, canvasLength, windowLength, dtype });
    try {
      sampler.setParameters(checkpoint.parameters);
      const answers = await decodeAnswers(sampler, fitting.map(({ prompt }) => prompt), {
        model,
        tokenizer,
        steps,
        algorithm: recipe.decoding.algorithm,
        temperature: 0,
        streamOf: (task) => ({ seed, stage: "evaluation", sample: task, purpose: "humaneval" }),
        onBatch: (done) => onPhase(`HumanEval, ${done} of ${fitting.length} (${lines.length} prompts too long)`),
        onStep,
      });
      const completed = fitting.map(({ task }, i) => ({ task, completion: answers[i]!.text }));
      const scores = await judge(completed, async ({ task, completion }) => {
        const score = await scoreProgram(sandbox, task, extractCompletedProgram(completion));
        onStep();
        return score;
      });
      lines.push(...completed.map(({ task, completion }, i) => lineOf(task, completion, verdictOf(scores[i]!))));
    } finally {
      sampler.dispose();
    }
  }
  return { lines, result: { passAt1: estimate(lines.map(({ passed }) => Number(passed)), seed), tasks: lines.length, verdicts: countStatuses(lines) } };
}

/** Tokens an answer needs at the very least. */
const LEAST_ROOM = 32;

function estimate(values: readonly number[], seed: number): Estimate {
  return { mean: mean(values), interval: bootstrapInterval(values, seed) };
}

function arnessOf(orders: readonly (readonly number[])[], ks: readonly number[]): Arness {
  return {
    local: ks.map((k) => ({ k, mean: mean(orders.map((order) => localArness(order, k))) })),
    global: ks.map((k) => ({ k, mean: mean(orders.map((order) => globalArness(order, k))) })),
  };
}

function countStatuses(lines: readonly SampleLine[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of lines) counts[status] = (counts[status] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort());
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
