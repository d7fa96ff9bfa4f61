import { findCached, resolveStage, StageError, type ArtifactRef, type ResolvedStage as KeyedStage, type Store } from "@diffucoder/lineage";
import { inOrder } from "./pipeline-recipe.ts";
import type { StageRegistry } from "./stages.ts";
import type { ResolvedPipeline, StageInput } from "./workflows/contract.ts";

/** What a run would find when it comes to a stage. */
export type StagePreview =
  | { readonly id: string; readonly kind: "cached"; readonly keyed: KeyedStage }
  | { readonly id: string; readonly kind: "runs"; readonly keyed: KeyedStage }
  /** Its key is not known yet: these stages have to run first. */
  | { readonly id: string; readonly kind: "waits"; readonly on: readonly string[] }
  /** Its key cannot be computed, such as for want of a source. */
  | { readonly id: string; readonly kind: "refused"; readonly reason: string };

/** Says stage by stage, in the order they would run, what a run of a pipeline would find in the store. Runs nothing. */
export async function previewPipeline(pipeline: ResolvedPipeline, registry: StageRegistry, store: Store): Promise<StagePreview[]> {
  const dtype = pipeline.numerics === "auto" ? await registry.preferredDtype() : pipeline.numerics;
  const outputs = new Map<string, Readonly<Record<string, ArtifactRef>>>();
  const previews: StagePreview[] = [];
  for (const { id, uses, inputs, recipe, execution } of inOrder(pipeline.stages)) {
    const on = Object.values(inputs).flatMap((input) => ("stage" in input && !outputs.has(input.stage) ? [input.stage] : []));
    if (on.length > 0) {
      previews.push({ id, kind: "waits", on: [...new Set(on)] });
      continue;
    }
    const refOf = (input: StageInput): ArtifactRef => ("stage" in input ? outputs.get(input.stage)![input.output]! : input);
    const refs = Object.fromEntries(Object.entries(inputs).map(([role, input]) => [role, refOf(input)]));
    const request = { recipe, execution, inputs: refs, seed: pipeline.seed, baseDirectory: pipeline.baseDirectory };
    try {
      const keyed = await resolveStage(await registry.stage(uses), request, dtype);
      const binding = await findCached(store, keyed.key);
      if (binding !== undefined) outputs.set(id, binding.outputs);
      previews.push({ id, kind: binding === undefined ? "runs" : "cached", keyed });
    } catch (error) {
      if (!(error instanceof StageError)) throw error;
      previews.push({ id, kind: "refused", reason: error.message });
    }
  }
  return previews;
}
