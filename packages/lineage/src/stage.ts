import type { z } from "zod";
import type { ArtifactKind, ArtifactRef, ArtifactStore } from "./artifact-store.ts";
import type { PieceStore } from "./pieces.ts";
import type { JsonObject } from "./json.ts";

/** Bytes are promised equal only between runs of one profile. */
export interface NumericsProfile {
  readonly dtype: "fp32" | "bf16";
  readonly instructionSet: string;
  readonly threads: number;
  readonly libtensorflow: string;
}

export interface StageProgress {
  readonly step: number;
  readonly totalSteps: number;
  /** What a step is: "documents", "steps", "rounds", "tasks". */
  readonly unit: string;
  /** Newest figures, such as `loss` or `reward`. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly note?: string;
}

/** What a stage, or a part of its work, gets from outside, so that it runs the same with and without a server. */
export interface PartContext {
  readonly artifacts: ArtifactStore;
  /** Finished units of work, shared by the parts of a stage and by its attempts. */
  readonly pieces: PieceStore;
  /** Identity of each file outside the store that the recipe names, as in the stage key, by name. */
  readonly sources: Readonly<Record<string, string>>;
  /** Private to this attempt; removed afterwards. */
  readonly scratchDir: string;
  /** Aborted: save a checkpoint, then throw StageCancelled. */
  readonly signal: AbortSignal;
  /** Milliseconds since some fixed point. */
  readonly now: () => number;
  readonly log: (line: string) => void;
  readonly numerics: NumericsProfile;
  /** Most memory that this process can have. */
  readonly memoryBytes: number;
  /** Also the sign of life: call it at least every few seconds. */
  readonly report: (progress: StageProgress) => void;
}

/** What a whole stage gets. */
export interface StageContext extends PartContext {
  /** Newest undamaged checkpoint of an earlier attempt at this stage key under the same numerics profile. */
  readonly resumeFrom: { readonly ref: ArtifactRef; readonly step: number } | undefined;
  readonly saveCheckpoint: (step: number, directory: string, meta: JsonObject) => Promise<ArtifactRef>;
}

export interface StageRequest<R = unknown, E = unknown> {
  /** What the result depends on. */
  readonly recipe: R;
  /** How the work is done; recorded only. */
  readonly execution: E;
  readonly inputs: Readonly<Record<string, ArtifactRef>>;
  readonly seed: number;
  /** Directory that relative paths in the recipe start from. */
  readonly baseDirectory: string;
}

/** A finished directory in the scratch directory, to be published. */
export interface StageOutput {
  readonly kind: ArtifactKind;
  readonly directory: string;
  readonly meta: JsonObject;
}

export interface StageResult {
  readonly outputs: Readonly<Record<string, StageOutput>>;
  /** Small figures for tables. */
  readonly summary: JsonObject;
}

/** What a stage would cost, from its recipe alone. */
export interface StagePlan {
  readonly tokens?: number;
  readonly flops?: number;
  readonly parameterCount?: number;
  readonly peakMemoryBytes?: number;
  readonly notes?: readonly string[];
  /** What later stages need to know for their own plans, such as `vocabSize` or the model's `config.json`. */
  readonly facts?: JsonObject;
}

/** One kind of stage: its name, its schema, what it reads and writes, and how to run it. */
export interface StageDefinition<R = any, E = any> {
  readonly name: string;
  readonly packageName: string;
  /** Absolute path of the module that the code digest starts from. */
  readonly entry: string;
  /** Absolute paths of other files that the result depends on, such as Python sources. */
  readonly assets?: readonly string[];
  /** Which queue runs it. `train` stages carry the dtype in their key. */
  readonly resource: "cpu" | "train";
  readonly inputs: Readonly<Record<string, { readonly kind: ArtifactKind; readonly optional?: boolean }>>;
  readonly outputs: Readonly<Record<string, ArtifactKind>>;
  readonly recipeSchema: z.ZodType<R>;
  readonly executionSchema: z.ZodType<E>;
  /** sha256 of each file outside the store that the recipe names, by name. */
  sources?(recipe: R, baseDirectory: string): Promise<Record<string, string>>;
  /**
   * @param inputs plans of the stages that make this one's inputs, by role
   * @param baseDirectory directory that relative paths in the recipe start from; the process's own unless given
   */
  plan?(recipe: R, inputs: Readonly<Record<string, StagePlan>>, baseDirectory?: string): StagePlan;
  run(request: StageRequest<R, E>, context: StageContext): Promise<StageResult>;
  /** Work that several processes can share before `run`, which takes what they leave in `pieces` and makes what it misses. */
  readonly parts?: {
    /** How many; 1 leaves all to `run`. */
    count(execution: E): number;
    run(request: StageRequest<R, E>, part: Part, context: PartContext): Promise<void>;
  };
}

/** One of the parts into which a stage's work is divided. */
export interface Part {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}
