import { expect, test } from "vitest";
import { executionSchema, identityOf, recipeSchema } from "./config.ts";

const HUMANEVAL = { name: "humaneval", path: "HumanEval.jsonl", sha256: "0".repeat(64) };

test("an empty recipe asks for the usual", () => {
  expect(recipeSchema.parse({})).toEqual({
    tasks: { families: ["named"], count: 128 },
    decoding: { canvasLength: 64, steps: 24, algorithm: "entropy", topP: 1, batchSize: 64 },
    samples: { perTask: 8, temperatures: [1] },
    passAt: [1, 4, 8],
    arnessK: [1, 2, 4],
    benchmarks: [],
  });
  expect(executionSchema.parse({})).toEqual({ sandboxWorkers: 2, checkpointEverySeconds: 30 });
  expect(recipeSchema.parse({ benchmarks: [HUMANEVAL] }).benchmarks).toEqual([
    { ...HUMANEVAL, decoding: { canvasLength: 768, steps: 256, algorithm: "entropy", topP: 1, batchSize: 4 }, samples: { perTask: 10, temperatures: [] } },
  ]);
});

test("blocks, a cache, parallel decoding and an early stop can be asked for, of held-out tasks and of each benchmark", () => {
  const settings = { algorithm: "maskgit_plus", topK: 20, blockLength: 32, cache: "prefix", threshold: 0.9, stopAtEnd: true };
  const { decoding, benchmarks } = recipeSchema.parse({ decoding: settings, benchmarks: [{ ...HUMANEVAL, decoding: { ...settings, steps: 64 } }] });
  expect(decoding).toEqual({ canvasLength: 64, steps: 24, topP: 1, batchSize: 64, ...settings });
  expect(benchmarks[0]!.decoding).toEqual({ canvasLength: 768, topP: 1, batchSize: 4, ...settings, steps: 64 });
});

test("BigCodeBench may be asked in both styles, and each goes by a name of its own", () => {
  const bigCodeBench = { ...HUMANEVAL, name: "bigcodebench" };
  const { benchmarks } = recipeSchema.parse({ benchmarks: [bigCodeBench, { ...bigCodeBench, prompt: "instruct" }, { ...HUMANEVAL, prompt: "complete" }] });
  expect(benchmarks.map(identityOf)).toEqual(["bigcodebench", "bigcodebench (instruct)", "humaneval"]);
});

test.each<[Record<string, unknown>, string]>([
  [{ passAt: [1, 9] }, "expected each k at most samples.perTask"],
  [{ samples: { perTask: 3 } }, "expected each k at most samples.perTask"],
  [{ passAt: [] }, "passAt"],
  [{ passAt: [0] }, "passAt"],
  [{ arnessK: [] }, "arnessK"],
  [{ tasks: { families: [] } }, "families"],
  [{ tasks: { count: 0 } }, "count"],
  [{ decoding: { canvasLength: 1 } }, "canvasLength"],
  [{ decoding: { topP: 0 } }, "topP"],
  [{ decoding: { topP: 1.1 } }, "topP"],
  [{ decoding: { algorithm: "best" } }, "algorithm"],
  [{ decoding: { threshold: 0.9 } }, "expected maskgit_plus or topk_margin with the commit rule threshold, found entropy"],
  [{ decoding: { cache: "dual" } }, "expected a number with cache dual, found none"],
  [{ benchmarks: [{ ...HUMANEVAL, decoding: { algorithm: "topk_margin", threshold: 0.9, factor: 1 } }] }, "expected threshold or factor, found both"],
  [{ samples: { temperatures: [0] } }, "temperatures"],
  [{ samples: { temperatures: [] } }, "temperatures"],
  [{ samples: { temperatures: [1, 1] } }, "expected each temperature once"],
  [{ benchmarks: [{ ...HUMANEVAL, sha256: "abc" }] }, "sha256"],
  [{ benchmarks: [{ ...HUMANEVAL, path: "" }] }, "path"],
  [{ benchmarks: [{ ...HUMANEVAL, name: "humaneval++" }] }, "name"],
  [{ benchmarks: [{ ...HUMANEVAL, prompt: "instruct" }] }, "only BigCodeBench has both kinds"],
  [{ benchmarks: [HUMANEVAL, HUMANEVAL] }, "expected each benchmark and kind of prompt once"],
  [{ benchmarks: [HUMANEVAL, { ...HUMANEVAL, prompt: "complete" }] }, "expected each benchmark and kind of prompt once"],
  [{ seeds: 3 }, "seeds"],
])("%j is refused, naming %s", (recipe, named) => {
  const { error } = recipeSchema.safeParse(recipe);
  expect(error?.message).toContain(named);
});

test("k may be as large as the number of samples", () => {
  expect(recipeSchema.parse({ samples: { perTask: 3 }, passAt: [1, 3] }).passAt).toEqual([1, 3]);
});
