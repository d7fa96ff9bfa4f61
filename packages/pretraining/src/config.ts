import { architectureSchema } from "@diffucoder/model";
import { trainingExecution, trainingRecipe } from "@diffucoder/training";
import { z } from "zod";

/** What the result depends on; part of the stage key. */
export const recipeSchema = z.strictObject({
  ...trainingRecipe,
  architecture: architectureSchema.optional().describe("of a new model; left out when the stage starts from a checkpoint"),
  annealingSteps: z.int().nonnegative().default(0).describe("steps over which attention opens from causal to full"),
});

export const executionSchema = trainingExecution;

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;
