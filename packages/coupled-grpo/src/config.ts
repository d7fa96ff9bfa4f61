import { decodingShape, refineDecoding } from "@diffucoder/model";
import { z } from "zod";
import { PRESET_NAMES, withPreset } from "./presets.ts";

const taskSelection = z.strictObject({
  families: z.array(z.string()).min(1).default(["named"]).describe("generated task families"),
  count: z.int().positive().default(128).describe("tasks of the reinforcement split, used in turn"),
});

const share = z.number().gt(0).lt(1);
const noiseRange = z
  .tuple([share, share])
  .refine(([lowest, highest]) => lowest < highest, "expected lowest < highest")
  .default([0.2, 0.8])
  .describe("noise levels are uniform in it: t in the paper");
const fullPass = z.boolean().default(true).describe("whether one more pass, with the whole completion hidden, counts as much as all others together");

/** How the log-probability of a sampled token is estimated; see `drawPasses`. */
const estimatorSchema = z.discriminatedUnion("masks", [
  z.strictObject({
    masks: z.literal("coupled").describe("a mask and its complement"),
    weights: z.enum(["none", "inverse-level"]).default("none").describe("inverse-level: 1/t on the mask's tokens and 1/(1 - t) on the complement's"),
    fullPass,
    noiseRange,
    levelPer: z.enum(["completion", "batch"]).default("completion").describe("how far a draw of the noise level reaches"),
    drawnPer: z.enum(["update", "round"]).default("update").describe("whether each optimizer step has masks of its own, or all of a round have the same"),
  }),
  z.strictObject({ masks: z.literal("independent").describe("two masks with a noise level each"), fullPass, noiseRange }),
  z.strictObject({ masks: z.literal("single").describe("one mask; what it leaves visible is not learned from"), noiseRange }),
  z.strictObject({ masks: z.literal("full").describe("the whole completion hidden"), promptNoise: z.number().min(0).lt(1).default(0).describe("share of the prompt hidden with it") }),
  z.strictObject({ masks: z.literal("strata").describe("as many masks, each position hidden by one"), count: z.int().min(2).default(4) }),
]);

export type Estimator = z.infer<typeof estimatorSchema>;

const ratioClip = {
  clip: z.number().positive().default(0.2).describe("epsilon in the paper: ratios are clipped to 1 - clip, 1 + clip"),
  clipAbove: z.number().positive().optional().describe("1 + clipAbove instead of 1 + clip"),
};

/** What an update optimizes; see `policyLoss`. */
const objectiveSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("token").describe("a ratio for each token (GRPO)"), ...ratioClip }),
  z.strictObject({ kind: z.literal("sequence").describe("a ratio for each completion (ESPO)"), ...ratioClip }),
  z.strictObject({ kind: z.literal("stable").describe("completions weighted by their clipped ratios (StableDRL)"), ...ratioClip }),
]);

export type Objective = z.infer<typeof objectiveSchema>;

const rewardSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("weighted").describe("the paper's"),
    code: z.number().nonnegative().default(2).describe("weight of the share of checks passed"),
    format: z.number().nonnegative().default(0.5),
  }),
  z.strictObject({ kind: z.literal("binary").describe("1 if all checks pass, else 0") }),
  z.strictObject({ kind: z.literal("rltf").describe("-1 without a program, -0.6 if it fails to run, from -0.3 to 1 by the share of checks passed") }),
]);

const explicitRecipe = z.strictObject({
  preset: z.enum(PRESET_NAMES).default("corrected").describe("what the slots below are where the recipe does not say"),
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
  reward: rewardSchema,
  faults: z.enum(["excluded", "zero"]).default("excluded").describe("a completion that the sandbox failed on: left out, or a reward of 0"),
  advantage: z
    .enum(["leave-one-out", "mean", "standardized"])
    .default("leave-one-out")
    .describe("a reward less the mean of the others in its group, less the mean of all, or that in standard deviations"),
  logProbs: estimatorSchema,
  objective: objectiveSchema,
  klWeight: z.number().nonnegative().default(0.01).describe("beta in the paper"),
  referenceSyncSteps: z.int().positive().default(64).describe("the reference follows the policy every so many steps"),
  referenceShare: z.number().gt(0).max(1).default(1).describe("the policy's share in the reference then; 1 is a copy"),
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

/** What the result depends on; part of the stage key. */
export const recipeSchema = z.preprocess(withPreset, explicitRecipe);

/** How the work is done; recorded, never part of the key. */
export const executionSchema = z.strictObject({
  checkpointEveryRounds: z.int().positive().default(10),
  sandboxWorkers: z.int().positive().default(2),
});

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;
