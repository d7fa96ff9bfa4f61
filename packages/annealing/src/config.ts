import { packedRecipe, trainingExecution } from "@diffucoder/training";
import { z } from "zod";

/** What the result depends on; part of the stage key. */
export const recipeSchema = z.strictObject(packedRecipe);

export const executionSchema = trainingExecution;

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;
