import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { InvalidRecipe, type NumericsProfile, type StageDefinition } from "@diffucoder/lineage";

export type Dtype = NumericsProfile["dtype"];
export type NumericsPolicy = "auto" | Dtype;

/** The stages that a recipe can use, and the numerics of this machine. */
export interface StageRegistry {
  readonly names: readonly string[];
  /** @throws InvalidRecipe for a name that is not there */
  stage(name: string): Promise<StageDefinition>;
  /** The dtype that this machine is fast in. */
  preferredDtype(): Promise<Dtype>;
  /** Loads the computing backend. */
  numerics(dtype: Dtype): Promise<NumericsProfile>;
  /** Why that backend is slower than this machine could be, and what helps. */
  slowerBecause(): Promise<string | undefined>;
}

/** What a module named by `DIFFUCODER_STAGES` exports. */
export interface StageModule {
  readonly stages: Readonly<Record<string, StageDefinition>>;
  preferredDtype(): Promise<Dtype>;
  numerics(dtype: Dtype): Promise<NumericsProfile>;
  slowerBecause?(): Promise<string | undefined>;
}

const PACKAGES: Readonly<Record<string, readonly [specifier: string, name: string]>> = {
  corpus: ["@diffucoder/corpus", "corpusStage"],
  tokenize: ["@diffucoder/corpus", "tokenizeStage"],
  pretraining: ["@diffucoder/pretraining", "pretrainingStage"],
  annealing: ["@diffucoder/annealing", "annealingStage"],
  "instruction-tuning": ["@diffucoder/instruction-tuning", "instructionTuningStage"],
  "coupled-grpo": ["@diffucoder/coupled-grpo", "coupledGrpoStage"],
  "hugging-face": ["@diffucoder/hugging-face", "huggingFaceStage"],
  evaluation: ["@diffucoder/evaluation", "evaluationStage"],
};

/** The pipeline's own stages, each package loaded when first asked for; or those of another module. */
export async function loadRegistry(modulePath: string | undefined = process.env.DIFFUCODER_STAGES): Promise<StageRegistry> {
  if (modulePath !== undefined) return moduleRegistry(modulePath);
  return {
    names: Object.keys(PACKAGES),
    async stage(name) {
      const [specifier, exported] = PACKAGES[name] ?? unknownStage(name, Object.keys(PACKAGES));
      return ((await import(specifier)) as Record<string, StageDefinition>)[exported]!;
    },
    async preferredDtype() {
      const { resolveDtype } = await import("@diffucoder/engine");
      return resolveDtype("auto");
    },
    async numerics(dtype) {
      const { backendInfo } = await import("@diffucoder/engine");
      const { instructionSet, threads, libtensorflow } = await backendInfo();
      return { dtype, instructionSet, threads, libtensorflow };
    },
    async slowerBecause() {
      const { backendInfo } = await import("@diffucoder/engine");
      return (await backendInfo()).slowerBecause;
    },
  };
}

async function moduleRegistry(path: string): Promise<StageRegistry> {
  const module = (await import(pathToFileURL(resolve(path)).href)) as StageModule;
  const names = Object.keys(module.stages);
  return {
    names,
    stage: async (name) => module.stages[name] ?? unknownStage(name, names),
    preferredDtype: module.preferredDtype,
    numerics: module.numerics,
    slowerBecause: module.slowerBecause ?? (async () => undefined),
  };
}

function unknownStage(name: string, names: readonly string[]): never {
  throw new InvalidRecipe(`stage ${name}`, [`expected one of ${names.join(", ")}, found ${name}`]);
}

/** Stages that only move data give equal bytes on any machine. */
export const PORTABLE_NUMERICS: NumericsProfile = { dtype: "fp32", instructionSet: "any", threads: 1, libtensorflow: "none" };
