import type { StagePlan } from "@diffucoder/lineage";
import { fromHuggingFace, parameterCount, trainingFlopsPerToken } from "@diffucoder/model";
import type { Recipe } from "./config.ts";

/**
 * What decoding costs: each denoising step passes every token of every canvas through the model. Checkpoints from
 * outside the recipe are not counted, and without the candidate's model there are no operations.
 */
export function planEvaluation({ tasks, decoding, samples, humaneval }: Recipe, inputs: Readonly<Record<string, StagePlan>>): StagePlan {
  const checkpoints = Math.max(1, Object.keys(inputs).length);
  const decodes = [{ ...decoding, canvases: (1 + samples.perTask) * padded(tasks.count, decoding.batchSize) }];
  if (humaneval !== undefined) decodes.push({ ...decoding, ...humaneval, canvases: padded(humaneval.tasks ?? HUMANEVAL_TASKS, humaneval.batchSize) });
  const tokensOf = ({ canvases, canvasLength, steps }: (typeof decodes)[number]) => checkpoints * canvases * canvasLength * steps;
  const tokens = decodes.reduce((sum, decode) => sum + tokensOf(decode), 0);
  const facts = inputs.candidate?.facts;
  if (facts?.model === undefined) return { tokens, notes: ["operations: not known, since the candidate's model is not"] };
  const model = fromHuggingFace(facts.model);
  // Forward only: a third of a training step.
  const flops = decodes.reduce((sum, decode) => sum + (tokensOf(decode) * trainingFlopsPerToken(model, decode.canvasLength)) / 3, 0);
  return { tokens, flops, parameterCount: parameterCount(model) };
}

const HUMANEVAL_TASKS = 164;

/** Batches are always full. */
const padded = (count: number, batchSize: number): number => Math.ceil(count / batchSize) * batchSize;
