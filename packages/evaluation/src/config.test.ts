import { expect, test } from "vitest";
import { executionSchema, recipeSchema } from "./config.ts";

test("an empty recipe asks for the usual", () => {
  expect(recipeSchema.parse({})).toEqual({
    tasks: { families: ["named"], count: 128 },
    decoding: { canvasLength: 64, steps: 24, algorithm: "entropy", topP: 1, batchSize: 64 },
    samples: { perTask: 8, temperature: 1 },
    passAt: [1, 4, 8],
    arnessK: [1, 2, 4],
  });
  expect(executionSchema.parse({})).toEqual({ sandboxWorkers: 2 });
  const humaneval = { path: "HumanEval.jsonl", sha256: "0".repeat(64) };
  expect(recipeSchema.parse({ humaneval }).humaneval).toEqual({ ...humaneval, canvasLength: 768, steps: 256, batchSize: 4 });
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
  [{ samples: { temperature: 0 } }, "temperature"],
  [{ humaneval: { path: "x", sha256: "abc" } }, "sha256"],
  [{ humaneval: { path: "", sha256: "0".repeat(64) } }, "path"],
  [{ seeds: 3 }, "seeds"],
])("%j is refused, naming %s", (recipe, named) => {
  const { error } = recipeSchema.safeParse(recipe);
  expect(error?.message).toContain(named);
});

test("k may be as large as the number of samples", () => {
  expect(recipeSchema.parse({ samples: { perTask: 3 }, passAt: [1, 3] }).passAt).toEqual([1, 3]);
});
