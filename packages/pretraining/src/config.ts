import { architectureSchema } from "@diffucoder/model";
import { packedRecipe, trainingExecution } from "@diffucoder/training";
import { z } from "zod";

/** What the result depends on; part of the stage key. */
export const recipeSchema = z
  .strictObject({
    ...packedRecipe,
    architecture: architectureSchema.optional().describe("of a new model; left out when the stage starts from a checkpoint"),
    objective: z
      .enum(["diffusion", "autoregressive"])
      .default("diffusion")
      .describe("autoregressive predicts each next token under causal attention, for a model that a later pretraining adapts"),
    annealingSteps: z.int().nonnegative().default(0).describe("steps over which attention opens from causal to full"),
  })
  .superRefine((recipe, { addIssue }) => {
    if (recipe.objective === "diffusion") return;
    const { annealingSteps, cutShare, cleanPrefixShare, lossWeights } = recipe;
    const ofDiffusion = { annealingSteps: annealingSteps > 0, cutShare: cutShare > 0, cleanPrefixShare: cleanPrefixShare > 0, lossWeights: lossWeights.kind !== "inverse-level" };
    for (const [key, isSet] of Object.entries(ofDiffusion)) {
      if (isSet) addIssue({ code: "custom", path: [key], message: "expected its default with the autoregressive objective, which hides no tokens" });
    }
  });

export const executionSchema = trainingExecution;

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;
