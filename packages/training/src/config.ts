import { z } from "zod";

export const optimizerSchema = z.strictObject({
  learningRate: z.number().positive().default(1e-3).describe("peak"),
  warmupSteps: z.int().nonnegative().default(20).describe("linear from zero"),
  finalShare: z.number().min(0).max(1).default(0.1).describe("cosine floor as a share of the peak"),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.95),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().nonnegative().default(0.1),
  clipNorm: z.number().positive().default(1).describe("largest global gradient norm"),
});

/** What every diffusion training stage's recipe holds; a stage adds its own keys. */
export const trainingRecipe = {
  steps: z.int().positive(),
  batchSize: z.int().positive().default(16).describe("canvases a step"),
  microBatches: z.int().positive().default(1).describe("equal parts of a batch whose gradients make one step: activations are those of one part"),
  canvasLength: z.int().min(2).default(64).describe("tokens a canvas"),
  noise: z
    .strictObject({
      levels: z
        .enum(["independent", "stratified"])
        .default("independent")
        .describe("stratified spreads a batch's noise levels evenly over (0, 1]; each alone is still uniform"),
      smallest: z.number().gt(0).lt(1).default(1e-3).describe("no level below this is drawn, which bounds the weight 1/t"),
    })
    .prefault({}),
  lossWeights: z
    .discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("inverse-level") }),
      z.strictObject({ kind: z.literal("cart"), share: z.number().gt(0).lt(1).default(0.3).describe("p: what the nearest token on each side counts") }),
    ])
    .default({ kind: "inverse-level" })
    .describe("of hidden tokens in training: 1/t, or how much of a token's neighbourhood is visible; validation always uses 1/t"),
  optimizer: optimizerSchema.prefault({}),
  validationBatches: z.int().positive().default(4).describe("batches of fixed noise that the validation loss is measured on"),
  rollback: z
    .strictObject({
      everySteps: z.int().positive().describe("steps between the states that training can go back to"),
      limit: z.int().positive().default(5).describe("roll-backs after which the next bad step stops the training"),
      largestGradientNorm: z.number().positive().optional().describe("a step above it is bad too, not only one that is no number"),
    })
    .optional()
    .describe("after a bad step go back to the last kept state and leave out the batches since; without it, a step that is no number stops the training"),
};

/** What a stage adds that trains on packed documents. */
export const packedRecipe = {
  ...trainingRecipe,
  cutShare: z.number().min(0).max(1).default(0).describe("probability that a batch is cut to a random length"),
  cleanPrefixShare: z.number().min(0).max(1).default(0).describe("probability that a canvas keeps a prefix of random length unnoised"),
};

/** How the work is done; recorded, never part of a key. */
export const trainingExecution = z.strictObject({
  checkpointEverySteps: z.int().positive().default(200),
});

export type TrainingRecipe = z.infer<z.ZodObject<typeof trainingRecipe>>;
export type PackedRecipe = z.infer<z.ZodObject<typeof packedRecipe>>;
export type TrainingExecution = z.infer<typeof trainingExecution>;
export type OptimizerRecipe = z.infer<typeof optimizerSchema>;
