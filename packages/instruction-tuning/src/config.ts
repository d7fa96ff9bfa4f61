import { trainingExecution, trainingRecipe } from "@diffucoder/training";
import { z } from "zod";

/** What the result depends on; part of the stage key. */
export const recipeSchema = z
  .strictObject({
    ...trainingRecipe,
    tasks: z
      .strictObject({
        families: z.array(z.string()).min(1).default(["named"]).describe("generated task families"),
        count: z.int().positive().default(2048).describe("instruction and solution pairs, from the train split"),
      })
      .prefault({}),
    conditionEpochs: z
      .number()
      .nonnegative()
      .default(1)
      .describe("epochs over which prompts go from being noised like everything else to never"),
    keepSteps: z
      .array(z.int().positive())
      .default([])
      .describe("steps whose weights the result keeps, for reinforcement to choose its start from"),
  })
  .refine(({ steps, keepSteps }) => keepSteps.every((step) => step <= steps), {
    message: "expected steps of the training, at most `steps`",
    path: ["keepSteps"],
  });

export const executionSchema = trainingExecution;

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;
