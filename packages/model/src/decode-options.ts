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
export function checkOptions(options: DecodeOptions): void {
  const wrong = wrongOption(options);
  if (wrong !== undefined) throw new ModelError("WrongOptions", `${wrong.option}: ${wrong.problem}`);
}

/** The first option that cannot be decoded with. */
export function wrongOption({ commit = { rule: "schedule" }, ...options }: Omit<DecodeOptions, "streamOf">): { readonly option: string; readonly problem: string } | undefined {
  const { steps, temperature, topP = 1, topK = 1, positionTemperature = 0, blockLength = 1, prompts, suffixes = prompts, algorithm } = options;
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 1;
  const isParallel = commit.rule !== "schedule";
  const isProbability = algorithm === "maskgit_plus" || algorithm === "topk_margin";
  const rules: [holds: boolean, option: string, expected: string, found: unknown][] = [
    [isCount(steps), "steps", "a whole number above 0", steps],
    [temperature >= 0 && temperature < Infinity, "temperature", "0 or more", temperature],
    [topP > 0 && topP <= 1, "topP", "above 0, at most 1", topP],
    [isCount(topK), "topK", "a whole number above 0", topK],
    [positionTemperature >= 0 && positionTemperature < Infinity, "positionTemperature", "0 or more", positionTemperature],
    [isCount(blockLength), "blockLength", "a whole number above 0", blockLength],
    [suffixes.length === prompts.length, "suffixes", `as many as prompts, ${prompts.length}`, suffixes.length],
    [!isParallel || isProbability, "algorithm", `maskgit_plus or topk_margin with the commit rule ${commit.rule}`, algorithm],
    [!isParallel || positionTemperature === 0, "positionTemperature", `0 with the commit rule ${commit.rule}`, positionTemperature],
  ];
  if (commit.rule === "threshold") rules.push([commit.threshold >= 0 && commit.threshold <= 1, "threshold", "0 to 1", commit.threshold]);
  if (commit.rule === "factor") rules.push([commit.factor > 0 && commit.factor < Infinity, "factor", "above 0", commit.factor]);
  const broken = rules.find(([holds]) => !holds);
  return broken === undefined ? undefined : { option: broken[1], problem: `expected ${broken[2]}, found ${String(broken[3])}` };
}
