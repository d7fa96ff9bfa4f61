import { decodingShape, refineDecoding } from "@diffucoder/model";
import { BENCHMARKS, promptStyleOf } from "@diffucoder/tasks";
import { z } from "zod";

/** @param usual what is not given */
function decodingSchema(usual: { readonly canvasLength: number; readonly steps: number; readonly batchSize: number }) {
  return z
    .strictObject({
      canvasLength: z.int().min(2).default(usual.canvasLength).describe("tokens of prompt and answer together"),
      ...decodingShape,
      steps: decodingShape.steps.unwrap().default(usual.steps),
      batchSize: z.int().positive().default(usual.batchSize).describe("canvases decoded together; other sizes may round differently"),
    })
    .superRefine(refineDecoding)
    .prefault({});
}

const temperatures = z.array(z.number().positive()).refine((all) => new Set(all).size === all.length, { message: "expected each temperature once" });

const benchmarkSchema = z
  .strictObject({
    name: z.enum(BENCHMARKS),
    path: z.string().min(1).describe("the benchmark's file as published, packed or not; relative to the recipe"),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    prompt: z.enum(["complete", "instruct"]).optional().describe("of BigCodeBench: the function to complete, or in words"),
    tasks: z.int().positive().optional().describe("only the first so many"),
    decoding: decodingSchema({ canvasLength: 768, steps: 256, batchSize: 4 }),
    samples: z
      .strictObject({ perTask: z.int().positive().default(10), temperatures: temperatures.default([]) })
      .prefault({})
      .describe("besides the greedy answer"),
  })
  .refine(({ name, prompt }) => prompt === undefined || prompt === promptStyleOf(name) || name.startsWith("bigcodebench"), { message: "expected none: only BigCodeBench has both kinds", path: ["prompt"] });

/** What the result depends on; part of the stage key. */
export const recipeSchema = z
  .strictObject({
    tasks: z
      .strictObject({
        families: z.array(z.string()).min(1).default(["named"]),
        count: z.int().positive().default(128).describe("held-out tasks, the same for every checkpoint"),
      })
      .prefault({}),
    decoding: decodingSchema({ canvasLength: 64, steps: 24, batchSize: 64 }).describe("of held-out tasks"),
    samples: z
      .strictObject({
        perTask: z.int().positive().default(8),
        temperatures: temperatures.min(1).default([1]),
      })
      .prefault({})
      .describe("of held-out tasks, besides the greedy answer"),
    passAt: z.array(z.int().positive()).min(1).default([1, 4, 8]).describe("k of pass@k; each at most samples.perTask, and left out of a benchmark with fewer samples"),
    arnessK: z.array(z.int().positive()).min(1).default([1, 2, 4]),
    packages: z.string().min(1).optional().describe("folder of Python packages that programs may import, as pip install --target makes it; relative to the recipe"),
    benchmarks: z
      .array(benchmarkSchema)
      .default([])
      .refine((all) => new Set(all.map(identityOf)).size === all.length, { message: "expected each benchmark and kind of prompt once" }),
  })
  .refine(({ passAt, samples }) => passAt.every((k) => k <= samples.perTask), { message: "expected each k at most samples.perTask", path: ["passAt"] });

/** A benchmark under the name that reports give it. */
export function identityOf({ name, prompt }: Pick<z.infer<typeof benchmarkSchema>, "name" | "prompt">): string {
  return prompt === undefined || prompt === promptStyleOf(name) ? name : `${name} (${prompt})`;
}

/** How the work is done; recorded, never part of the key. */
export const executionSchema = z.strictObject({
  sandboxWorkers: z.int().positive().default(2),
  checkpointEverySeconds: z.number().nonnegative().default(30).describe("finished samples kept so often, for a run that is stopped"),
});

export type Recipe = z.infer<typeof recipeSchema>;
export type BenchmarkRecipe = Recipe["benchmarks"][number];
export type Execution = z.infer<typeof executionSchema>;
