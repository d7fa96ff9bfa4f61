import type { StagePlan } from "@diffucoder/lineage";
import { fromHuggingFace, parameterCount, trainingFlopsPerToken } from "@diffucoder/model";
import type { BenchmarkName } from "@diffucoder/tasks";
import type { Recipe } from "./config.ts";

/**
 * What decoding costs: each denoising step passes every token of every canvas through the model. Checkpoints from
 * outside the recipe are not counted, and without the candidate's model there are no operations.
 */
export function planEvaluation({ tasks, decoding, samples, benchmarks }: Recipe, inputs: Readonly<Record<string, StagePlan>>): StagePlan {
  const checkpoints = Math.max(1, Object.keys(inputs).length);
  const decodes = [
    { ...decoding, canvases: canvasesOf(tasks.count, decoding.batchSize, samples) },
    ...benchmarks.map(({ name, tasks: most = TASKS[name], decoding, samples }) => ({ ...decoding, canvases: canvasesOf(most, decoding.batchSize, samples) })),
  ];
  const tokensOf = ({ canvases, canvasLength, steps }: (typeof decodes)[number]) => checkpoints * canvases * canvasLength * steps;
  const tokens = decodes.reduce((sum, decode) => sum + tokensOf(decode), 0);
  const facts = inputs.candidate?.facts;
  if (facts?.model === undefined) return { tokens, notes: ["operations: not known, since the candidate's model is not"] };
  const model = fromHuggingFace(facts.model);
  // Forward only: a third of a training step.
  const flops = decodes.reduce((sum, decode) => sum + (tokensOf(decode) * trainingFlopsPerToken(model, decode.canvasLength)) / 3, 0);
  return { tokens, flops, parameterCount: parameterCount(model) };
}

/** Tasks that models are scored on, in the files as published. */
const TASKS: Readonly<Record<BenchmarkName, number>> = { humaneval: 164, "humaneval+": 164, mbpp: 500, "mbpp+": 378, bigcodebench: 1140, "bigcodebench-hard": 148 };

/** The greedy answer and the samples of each task. Batches are always full. */
function canvasesOf(tasks: number, batchSize: number, { perTask, temperatures }: Recipe["samples"]): number {
  return (1 + perTask * temperatures.length) * Math.ceil(tasks / batchSize) * batchSize;
}
