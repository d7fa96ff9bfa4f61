import { decodingShape, refineDecoding } from "@diffucoder/model";
import { z } from "zod";

const taskSelection = z.strictObject({
  families: z.array(z.string()).min(1).default(["named"]).describe("generated task families"),
  count: z.int().positive().default(128).describe("tasks of the reinforcement split, used in turn"),
});

/** What the result depends on; part of the stage key. */
export const recipeSchema = z.strictObject({
  preset: z
    .literal("corrected")
    .default("corrected")
    .describe("fp32 log-probabilities, one mask pair for each completion and update, seeds stored, sandbox faults excluded"),
  tasks: taskSelection.prefault({}),
  start: z
    .discriminatedUnion("rule", [
      z.strictObject({ rule: z.literal("final") }),
      z.strictObject({
        rule: z.literal("window"),
        lowestPassRate: z.number().min(0).max(1).default(0.05),
        highestPassRate: z.number().min(0).max(1).default(0.6),
        lowestMixedGroups: z.number().min(0).max(1).default(0.4),
        tasks: z.int().positive().default(32).describe("tasks of the selection split that each candidate is measured on"),
      }),
    ])
    .default({ rule: "final" })
    .describe("which of the instruction-tuned checkpoints reinforcement starts from, measured on the selection split"),
  canvasLength: z.int().min(2).default(64).describe("tokens of prompt and answer together, as in instruction tuning"),
  rounds: z.int().positive().describe("rollout rounds"),
  updatesPerRound: z.int().positive().default(2).describe("mu in the paper: optimizer steps on one round's rollouts"),
  tasksPerRound: z.int().positive().default(8),
  groupSize: z.int().min(2).default(8).describe("completions of one task: G in the paper"),
  rollout: z
    .strictObject({ ...decodingShape, temperature: z.number().positive().default(1) })
    .superRefine(refineDecoding)
    .prefault({})
    .describe("how completions are drawn"),
  reward: z
    .strictObject({
      code: z.number().nonnegative().default(2).describe("weight of the share of checks passed"),
      format: z.number().nonnegative().default(0.5),
    })
    .prefault({}),
  noiseRange: z
    .tuple([z.number().gt(0).lt(1), z.number().gt(0).lt(1)])
    .refine(([lowest, highest]) => lowest < highest, "expected lowest < highest")
    .default([0.2, 0.8]),
  clip: z.number().positive().default(0.2).describe("epsilon in the paper: ratios are clipped to 1 - clip, 1 + clip"),
  klWeight: z.number().nonnegative().default(0.01).describe("beta in the paper"),
  referenceSyncSteps: z.int().positive().default(64).describe("the reference becomes a copy of the policy every so many steps"),
  optimizer: z
    .strictObject({
      learningRate: z.number().positive().default(3e-4),
      warmupSteps: z.int().nonnegative().default(2),
      finalShare: z.number().min(0).max(1).default(0.1).describe("cosine floor as a share of the peak"),
      beta1: z.number().min(0).lt(1).default(0.9),
      beta2: z.number().min(0).lt(1).default(0.99),
      epsilon: z.number().positive().default(1e-8),
      weightDecay: z.number().nonnegative().default(0.1),
      clipNorm: z.number().positive().default(0.2),
    })
    .prefault({}),
});

/** How the work is done; recorded, never part of the key. */
export const executionSchema = z.strictObject({
  checkpointEveryRounds: z.int().positive().default(10),
  sandboxWorkers: z.int().positive().default(2),
});

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;
