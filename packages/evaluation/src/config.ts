import { z } from "zod";

/** What the result depends on; part of the stage key. */
export const recipeSchema = z
  .strictObject({
    tasks: z
      .strictObject({
        families: z.array(z.string()).min(1).default(["named"]),
        count: z.int().positive().default(128).describe("held-out tasks, the same for every checkpoint"),
      })
      .prefault({}),
    decoding: z
      .strictObject({
        canvasLength: z.int().min(2).default(64).describe("tokens of prompt and answer together"),
        steps: z.int().positive().default(24).describe("denoising steps of one decode"),
        algorithm: z.enum(["origin", "maskgit_plus", "topk_margin", "entropy"]).default("entropy"),
        topP: z.number().gt(0).max(1).default(1),
        batchSize: z.int().positive().default(64).describe("canvases decoded together; other sizes may round differently"),
      })
      .prefault({}),
    samples: z
      .strictObject({
        perTask: z.int().positive().default(8),
        temperature: z.number().positive().default(1),
      })
      .prefault({}),
    passAt: z.array(z.int().positive()).min(1).default([1, 4, 8]).describe("k of pass@k; each at most samples.perTask"),
    arnessK: z.array(z.int().positive()).min(1).default([1, 2, 4]),
    humaneval: z
      .strictObject({
        path: z.string().min(1).describe("HumanEval.jsonl or .jsonl.gz, relative to the recipe"),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        canvasLength: z.int().min(2).default(768),
        steps: z.int().positive().default(256),
        batchSize: z.int().positive().default(4),
        tasks: z.int().positive().optional().describe("only the first so many"),
      })
      .optional()
      .describe("also score HumanEval, greedily"),
  })
  .refine(({ passAt, samples }) => passAt.every((k) => k <= samples.perTask), { message: "expected each k at most samples.perTask", path: ["passAt"] });

/** How the work is done; recorded, never part of the key. */
export const executionSchema = z.strictObject({
  sandboxWorkers: z.int().positive().default(2),
});

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;
