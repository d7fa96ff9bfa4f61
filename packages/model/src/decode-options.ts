import type { StreamKey } from "@diffucoder/random";
import { ModelError } from "./errors.ts";
import type { CommitRule } from "./position-choice.ts";
import type { DecodeAlgorithm, TokenFilter } from "./token-distribution.ts";

export interface DecodeOptions extends TokenFilter {
  /** What stands before each answer. */
  readonly prompts: readonly ArrayLike<number>[];
  /** What stands behind each answer, at the end of the canvas (infilling); nothing unless given. */
  readonly suffixes?: readonly ArrayLike<number>[];
  readonly maskId: number;
  /** Denoising steps of an answer, at most; with blocks, each has its share of them. */
  readonly steps: number;
  /** Which positions are fixed first; see `confidenceOf`. `origin` chooses at random. */
  readonly algorithm: DecodeAlgorithm;
  /** How many positions a step fixes; by the noise schedule unless given. */
  readonly commit?: CommitRule;
  /** Temperature of the choice of positions; 0 is deterministic. */
  readonly positionTemperature?: number;
  /** Answers are decoded in blocks of so many positions, from left to right; all at once unless given. */
  readonly blockLength?: number;
  /** An answer is done when its first `endId` and all before it are fixed; what is still masked becomes `fillId`. */
  readonly stop?: { readonly endId: number; readonly fillId: number };
  /** Whether to keep how unsure the model is of every position while nothing is fixed, see `DecodedCanvas.firstEntropy`. */
  readonly keepFirstPass?: boolean;
  /** Random stream of a prompt: a completion does not depend on what else is in the batch. */
  readonly streamOf: (prompt: number) => StreamKey;
  /** Called before each evaluation of the model. */
  readonly onStep?: () => void;
}

/** @throws ModelError `WrongOptions` naming the option, what was expected and what was found */
export function checkOptions({ commit = { rule: "schedule" }, ...options }: DecodeOptions): void {
  const { steps, temperature, topP = 1, topK = 1, positionTemperature = 0, blockLength = 1, prompts, suffixes = prompts } = options;
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;
  require(isCount(steps), "steps", "a whole number above 0", steps);
  require(temperature >= 0 && temperature < Infinity, "temperature", "0 or more", temperature);
  require(topP > 0 && topP <= 1, "topP", "above 0, at most 1", topP);
  require(isCount(topK), "topK", "a whole number above 0", topK);
  require(positionTemperature >= 0 && positionTemperature < Infinity, "positionTemperature", "0 or more", positionTemperature);
  require(isCount(blockLength), "blockLength", "a whole number above 0", blockLength);
  require(suffixes.length === prompts.length, "suffixes", `as many as prompts, ${prompts.length}`, suffixes.length);
  if (commit.rule === "schedule") return;
  const isProbability = options.algorithm === "maskgit_plus" || options.algorithm === "topk_margin";
  require(isProbability, "algorithm", `maskgit_plus or topk_margin with the commit rule ${commit.rule}`, options.algorithm);
  require(positionTemperature === 0, "positionTemperature", `0 with the commit rule ${commit.rule}`, positionTemperature);
  if (commit.rule === "threshold") require(commit.threshold >= 0 && commit.threshold <= 1, "threshold", "0 to 1", commit.threshold);
  else require(commit.factor > 0 && commit.factor < Infinity, "factor", "above 0", commit.factor);
}

function require(holds: boolean, subject: string, expected: string, found: unknown): void {
  if (!holds) throw new ModelError("WrongOptions", `${subject}: expected ${expected}, found ${String(found)}`);
}
