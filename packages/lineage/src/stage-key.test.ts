import { describe, expect, test } from "vitest";
import { z } from "zod";
import { NUMERICS, newStore, resolve, run, sumStage } from "../test/test-stage.ts";
import { codeIdentity } from "./code-digest.ts";
import { canonicalJson, sha256, type JsonValue } from "./json.ts";
import { resolveStage, type KeyFacts } from "./stage-key.ts";
import type { StageDefinition, StageRequest } from "./stage.ts";

const DOCUMENTS = { kind: "documents", digest: "d".repeat(64) } as const;

describe("the stage key", () => {
  test("is the sha256 of the canonical JSON of all that the result depends on", async () => {
    const definition = sumStage({ sources: async () => ({ "card.yaml": "c".repeat(64) }) });
    const { key, facts, request, code } = await resolve(definition, { recipe: { length: 5 }, inputs: { start: DOCUMENTS }, seed: 7 });
    expect(code).toEqual(await codeIdentity(definition));
    expect(facts).toEqual<KeyFacts>({
      stage: "sum",
      code: code.digest,
      recipe: { length: 5, options: { factor: 1, words: [] } },
      inputs: { start: DOCUMENTS.digest },
      sources: { "card.yaml": "c".repeat(64) },
      seed: 7,
      dtype: "fp32",
    });
    expect(key).toBe(sha256(canonicalJson(facts as unknown as JsonValue)));
    expect(request).toEqual({ recipe: facts.recipe, execution: { checkpointEvery: 1 }, inputs: { start: DOCUMENTS }, seed: 7, baseDirectory: "/" });
  });

  type Change = (base: ReturnType<typeof sumStage>) => ReturnType<typeof resolve>;
  const changes: [string, Change][] = [
    ["stage name", (base) => resolve({ ...base, name: "other" })],
    ["code", (base) => resolve({ ...base, entry: sumStage({ code: "export const version = 2;" }).entry })],
    ["recipe", (base) => resolve(base, { recipe: { length: 4 } })],
    ["value deep in the recipe", (base) => resolve(base, { recipe: { options: { words: [{ z: 1, a: 2 }] } } })],
    ["presence of a source", (base) => resolve({ ...base, sources: async () => ({ card: "1".repeat(64) }) })],
    ["presence of an input", (base) => resolve(base, { inputs: { start: DOCUMENTS } })],
    ["seed", (base) => resolve(base, { seed: 2 })],
    ["dtype", (base) => resolve(base, {}, "bf16")],
    ["resource", (base) => resolve({ ...base, resource: "cpu" })],
  ];
  test.each(changes)("changes with the %s", async (_, change) => {
    const base = sumStage();
    expect((await change(base)).key).not.toBe((await resolve(base)).key);
  });

  test("changes with the digest of an input and of a source", async () => {
    const base = sumStage();
    const keys = await Promise.all(
      ["1", "2"].flatMap((digit) => [
        resolve(base, { inputs: { start: { kind: "documents", digest: digit.repeat(64) } } }),
        resolve({ ...base, sources: async () => ({ card: digit.repeat(64) }) }),
      ]),
    );
    expect(new Set(keys.map(({ key }) => key)).size).toBe(4);
  });

  test("is the same whether defaults are written out or not, and in whatever order", async () => {
    const base = sumStage();
    const { key } = await resolve(base);
    for (const recipe of [undefined, null, { length: 3 }, { options: {} }, { options: { words: [], factor: 1 }, length: 3 }]) {
      expect((await resolve(base, { recipe })).key).toBe(key);
    }
  });

  test("does not depend on how the work is done, where it starts from or what the output roles are", async () => {
    const base = sumStage();
    const { key } = await resolve(base);
    expect((await resolve(base, { execution: { checkpointEvery: 5 } })).key).toBe(key);
    expect((await resolve(base, { execution: undefined })).key).toBe(key);
    expect((await resolve(base, { baseDirectory: "/elsewhere" })).key).toBe(key);
  });

  test("holds the dtype of training stages only: data stages give equal bytes everywhere", async () => {
    const base = sumStage();
    const data = { ...base, resource: "cpu" as const };
    expect((await resolve(data, {}, "fp32")).facts.dtype).toBeNull();
    expect((await resolve(data, {}, "fp32")).key).toBe((await resolve(data, {}, "bf16")).key);
    expect((await resolve(base, {}, "bf16")).facts.dtype).toBe("bf16");
  });

  test("leaves out recipe keys that are undefined", async () => {
    const base = sumStage();
    const optional = { ...base, recipeSchema: z.strictObject({ limit: z.int().optional() }) as never };
    expect((await resolve(optional, { recipe: { limit: undefined } })).key).toBe((await resolve(optional)).key);
  });

  test("is the one that a run records", async () => {
    const base = sumStage();
    const store = await newStore();
    const { key } = await resolve(base);
    expect((await run(store, base)).key).toBe(key);
    expect(await store.records.keys()).toEqual([key]);
  });

  test("asks for sources with the parsed recipe and the folder of relative paths", async () => {
    const asked: unknown[] = [];
    const sources = async (...question: unknown[]) => {
      asked.push(question);
      return {};
    };
    await resolve(sumStage({ sources }), { recipe: { length: 9 }, baseDirectory: "/recipes" });
    expect(asked).toEqual([[{ length: 9, options: { factor: 1, words: [] } }, "/recipes"]]);
  });
});

describe("a request that does not fit is InvalidRecipe", () => {
  const needs = { shards: { kind: "shards", optional: false }, start: { kind: "documents", optional: true } } as const;
  const shards = { kind: "shards", digest: "5".repeat(64) } as const;
  const cases: [string, StageDefinition["inputs"] | undefined, Partial<StageRequest>, string[]][] = [
    ["an unknown recipe key", undefined, { recipe: { lenght: 3 } }, ['recipe: Unrecognized key: "lenght"']],
    ["an unknown key deep down", undefined, { recipe: { options: { facter: 1 } } }, ['recipe.options: Unrecognized key: "facter"']],
    ["an unknown execution key", undefined, { execution: { workers: 3 } }, ['execution: Unrecognized key: "workers"']],
    ["execution in the recipe", undefined, { recipe: { checkpointEvery: 3 } }, ['recipe: Unrecognized key: "checkpointEvery"']],
    [
      "wrong values, all at once",
      undefined,
      { recipe: { length: "3", options: { words: [{ z: 1.5, a: 1 }] } } },
      ["recipe.length: Invalid input: expected number, received string", "recipe.options.words.0.z: Invalid input: expected int, received number"],
    ],
    ["a missing input", needs, {}, ["inputs.shards: expected a shards artifact, found nothing"]],
    [
      "inputs of the wrong kind and role",
      needs,
      { inputs: { shards: DOCUMENTS, start: shards, toString: shards } },
      [
        "inputs.shards: expected a shards artifact, found documents",
        "inputs.start: expected a documents artifact, found shards",
        "inputs.toString: expected one of shards, start, found an unknown role",
      ],
    ],
    ["an input where none is taken", {}, { inputs: { start: DOCUMENTS } }, ["inputs.start: expected one of no inputs, found an unknown role"]],
  ];
  test.each(cases)("%s", async (_, inputs, request, problems) => {
    const definition = sumStage(inputs === undefined ? {} : { inputs });
    await expect(resolve(definition, request)).rejects.toMatchObject({
      code: "InvalidRecipe",
      retryable: false,
      message: `stage sum: ${problems.join("; ")}`,
      details: { subject: "stage sum", problems },
    });
  });

  test("and nothing is recorded of it", async () => {
    const store = await newStore();
    await expect(run(store, sumStage(), { request: { recipe: { lenght: 3 } } })).rejects.toMatchObject({ code: "InvalidRecipe" });
    expect(await store.records.keys()).toEqual([]);
  });

  test("while an optional input may be absent or given", async () => {
    const needy = sumStage({ inputs: needs });
    const { facts } = await resolveStage(needy, { recipe: {}, execution: {}, inputs: { shards, start: DOCUMENTS }, seed: 1, baseDirectory: "/" }, NUMERICS.dtype);
    expect(facts.inputs).toEqual({ shards: shards.digest, start: DOCUMENTS.digest });
    expect((await resolve(needy, { inputs: { shards } })).facts.inputs).toEqual({ shards: shards.digest });
  });
});
