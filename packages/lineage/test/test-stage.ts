import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  openStore,
  resolveStage,
  runStage,
  StageCancelled,
  type ArtifactRef,
  type NumericsProfile,
  type ResolvedStage,
  type RunStageOptions,
  type StageContext,
  type StageDefinition,
  type StageOutcome,
  type StageRequest,
  type StageResult,
  type Store,
} from "../src/index.ts";
import { folderWith, temporaryFolder } from "./temporary.ts";

const recipeSchema = z.strictObject({
  length: z.int().default(3),
  options: z.strictObject({ factor: z.number().default(1), words: z.array(z.strictObject({ z: z.int(), a: z.int() })).default([]) }).prefault({}),
});
const executionSchema = z.strictObject({ checkpointEvery: z.int().default(1) });

export type Recipe = z.infer<typeof recipeSchema>;
export type Execution = z.infer<typeof executionSchema>;

export const NUMERICS: NumericsProfile = { dtype: "fp32", instructionSet: "avx2", threads: 2, libtensorflow: "2.21.0" };

/**
 * Adds up `factor` until `length` numbers are written, with a checkpoint on the way; starts from the numbers of an
 * earlier artifact where one is given. Package, version and code are a folder of its own.
 */
export function sumStage(changes: Partial<StageDefinition<Recipe, Execution>> & { readonly code?: string } = {}): StageDefinition<Recipe, Execution> {
  const { code = "export const version = 1;", ...rest } = changes;
  const folder = folderWith({ "package.json": JSON.stringify({ name: "sum", version: "4.5.6" }), "src/entry.ts": code });
  return {
    name: "sum",
    packageName: "sum",
    entry: join(folder, "src", "entry.ts"),
    resource: "train",
    inputs: { start: { kind: "documents", optional: true } },
    outputs: { sums: "documents" },
    recipeSchema,
    executionSchema,
    run: addUp,
    ...rest,
  };
}

export async function addUp({ recipe, execution, inputs }: StageRequest<Recipe, Execution>, context: StageContext): Promise<StageResult> {
  const sums = inputs.start === undefined ? [] : await numbersOf(context, inputs.start);
  if (context.resumeFrom !== undefined) sums.push(...(await numbersOf(context, context.resumeFrom.ref)));
  const folder = join(context.scratchDir, "sums");
  await mkdir(folder);
  while (sums.length < recipe.length) {
    sums.push((sums.at(-1) ?? 0) + recipe.options.factor);
    await writeFile(join(folder, "sums.json"), JSON.stringify(sums));
    context.report({ step: sums.length, totalSteps: recipe.length, unit: "sums" });
    if (sums.length % execution.checkpointEvery === 0) await context.saveCheckpoint(sums.length, folder, { step: sums.length });
    if (context.signal.aborted) throw new StageCancelled("sum", sums.length);
  }
  await writeFile(join(folder, "sums.json"), JSON.stringify(sums));
  return { outputs: { sums: { kind: "documents", directory: folder, meta: { length: sums.length } } }, summary: { last: sums.at(-1) ?? null } };
}

export async function numbersOf({ artifacts }: Pick<StageContext, "artifacts">, ref: ArtifactRef): Promise<number[]> {
  return JSON.parse(await readFile(await artifacts.file(ref, "sums.json"), "utf8")) as number[];
}

export function requestOf(changes: Partial<StageRequest> = {}): StageRequest {
  return { recipe: {}, execution: {}, inputs: {}, seed: 1, baseDirectory: "/", ...changes };
}

export const resolve = (definition: StageDefinition, changes: Partial<StageRequest> = {}, dtype: NumericsProfile["dtype"] = "fp32"): Promise<ResolvedStage> =>
  resolveStage(definition, requestOf(changes), dtype);

/** A store in a folder of its own. */
export const newStore = (leaseExpiryMs?: number): Promise<Store> => openStore(join(temporaryFolder(), "store"), leaseExpiryMs === undefined ? {} : { leaseExpiryMs });

export type RunChanges = Partial<Omit<RunStageOptions, "request" | "store" | "definition">> & { readonly request?: Partial<StageRequest> };

/** Runs a stage with defaults for all that does not matter to a test. */
export function run(store: Store, definition: StageDefinition, { request, ...changes }: RunChanges = {}): Promise<StageOutcome> {
  return runStage({
    store,
    definition,
    request: requestOf(request),
    numerics: NUMERICS,
    signal: new AbortController().signal,
    now: Date.now,
    ...changes,
  });
}
