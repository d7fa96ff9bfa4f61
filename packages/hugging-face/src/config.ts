import { z } from "zod";

/** What the result depends on; part of the stage key, together with the digest of every file that is read. */
export const recipeSchema = z.strictObject({
  folder: z.string().min(1).describe("a model's folder, relative to the pipeline file"),
});

export const executionSchema = z.strictObject({});

export type Recipe = z.infer<typeof recipeSchema>;
