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
import { decodeAnswers, type DecodedAnswer } from "./answer.ts";
import { bootstrapInterval } from "./bootstrap-interval.ts";
import type { EvaluatedCheckpoint } from "./checkpoint-history.ts";
import type { Recipe } from "./config.ts";
import { UnscoredAnswers } from "./errors.ts";
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
  readonly onPhase: (note: string) => void;
}

/** Answers every task greedily and by sampling, and runs all answers. */
export async function scoreCheckpoint(
  evaluated: EvaluatedCheckpoint,
  options: ScoringOptions,
): Promise<{ scores: CheckpointScores; samples: SampleLine[]; sampledRates: number[] }> {
  const { role, tasks, recipe, seed, onPhase } = options;
  onPhase("greedy answers");
  const heldOut = await answerTasks(evaluated, options);
  onPhase("running answers");
  const lines = await judge(heldOut, options);
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

async function answerTasks({ model, checkpoint }: EvaluatedCheckpoint, { tasks, recipe, seed, dtype, onPhase }: ScoringOptions): Promise<TaskAnswer[]> {
  const tokenizer = Tokenizer.fromJson(checkpoint.tokenizerJson);
  const prompts = tasks.map((task) => tokenizer.encode(renderPrompt(task), { specials: true }));
  const { canvasLength, steps, algorithm, topP, batchSize } = recipe.decoding;
  const windowLength = canvasLength - Math.min(...prompts.map(({ length }) => length));
  const sampler = await createSampler(model, { batchSize, canvasLength, windowLength, dtype });
  try {
    sampler.setParameters(checkpoint.parameters);
    const decoding = { model, tokenizer, steps, algorithm };
    const greedy = decodeAnswers(sampler, prompts, { ...decoding, temperature: 0, streamOf: (task) => ({ seed, stage: "evaluation", sample: task, purpose: "greedy" }) });
    const answers: TaskAnswer[] = greedy.map((answer, task) => ({ task, kind: "greedy", sample: 0, answer }));
    for (let sample = 0; sample < recipe.samples.perTask; sample++) {
      onPhase(`samples ${sample + 1} of ${recipe.samples.perTask}`);
      const sampled = decodeAnswers(sampler, prompts, {
        ...decoding,
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

async function judge(answers: readonly TaskAnswer[], { role, tasks, sandbox }: ScoringOptions): Promise<SampleLine[]> {
  const items = answers.map(({ task, answer }) => ({ task: tasks[task]!, completion: answer.text }));
  const scores = await scoreAnswers(sandbox, items);
  // A sandbox fault says nothing about the answer: ask once more before giving up.
  const again = await scoreAnswers(sandbox, items.filter((_, i) => scores[i] === null));
  const settled = scores.map((score) => score ?? again.shift()!);
  const missing = settled.filter((score) => score === null).length;
  if (missing > 0) throw new UnscoredAnswers(missing, settled.length);
  return answers.map(({ task, kind, sample, answer }, i) => ({
    checkpoint: role,
    benchmark: "held-out",
    task: tasks[task]!.id,
    kind,
    sample,
    completion: answer.text,
    ...verdictOf(settled[i]!),
  }));
}

const verdictOf = ({ status, cause, passed }: Score) => ({ status, cause, passed });

/** One greedy completion for each HumanEval task. A prompt that leaves no room on the canvas is an outcome of its own. */
async function scoreHumanEval({ model, checkpoint }: EvaluatedCheckpoint, { role, humaneval, recipe, seed, dtype, sandbox, onPhase }: ScoringOptions) {
  const tokenizer = Tokenizer.fromJson(checkpoint.tokenizerJson);
  const { canvasLength, steps, batchSize } = recipe.humaneval!;
  const encoded = humaneval.map((task) => ({ task, prompt: tokenizer.encode(renderCompletionPrompt(task), { specials: true }) }));
  const fitting = encoded.filter(({ prompt }) => prompt.length + LEAST_ROOM <= canvasLength);
  const lineOf = (task: CompletionTask, completion: string, verdict: Pick<Score, "status" | "cause" | "passed"> | { status: string; cause: string; passed: boolean }): SampleLine => ({
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
    onPhase(`HumanEval, ${fitting.length} of ${encoded.length} tasks fit the canvas`);
    const windowLength = canvasLength - Math.min(...fitting.map(({ prompt }) => prompt.length));
    const sampler = await createSampler(model, { batchSize, canvasLength, windowLength, dtype });
    try {
      sampler.setParameters(checkpoint.parameters);
      const answers = decodeAnswers(sampler, fitting.map(({ prompt }) => prompt), {
        model,
        tokenizer,
        steps,
        algorithm: recipe.decoding.algorithm,
        temperature: 0,
        streamOf: (task) => ({ seed, stage: "evaluation", sample: task, purpose: "humaneval" }),
      });
      for (const [i, { task }] of fitting.entries()) {
        const completion = answers[i]!.text;
        const score = await scoreProgram(sandbox, task, extractCompletedProgram(completion));
        if (score === null) throw new UnscoredAnswers(1, fitting.length);
        lines.push(lineOf(task, completion, verdictOf(score)));
      }
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
