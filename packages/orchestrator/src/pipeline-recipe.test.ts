import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvalidRecipe } from "@diffucoder/lineage";
import { afterAll, expect, test } from "vitest";
import { planPipeline, readPipeline, type ReadOptions } from "./pipeline-recipe.ts";
import { loadRegistry } from "./stages.ts";
import { TEST_STAGES } from "./testing/test-home.ts";

const folder = mkdtempSync(join(tmpdir(), "recipes-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, "folding.yaml");

const GOOD = `name: folding
seed: 1
stages:
  - id: fold
    uses: fold
    inputs: { documents: numbers.documents }
    recipe:
      steps: 7
  - id: numbers
    uses: numbers
`;

async function read(text: string, options: ReadOptions = {}) {
  writeFileSync(file, text);
  return readPipeline(file, await loadRegistry(TEST_STAGES), options);
}

async function problems(text: string, options: ReadOptions = {}): Promise<string> {
  const error: unknown = await read(text, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InvalidRecipe);
  return (error as InvalidRecipe).message.replace(`${file}: `, "");
}

test("defaults are filled in and references resolved", async () => {
  const pipeline = await read(GOOD);
  expect(pipeline).toMatchObject({ name: "folding", seed: 1, numerics: "auto", baseDirectory: folder });
  expect(pipeline.stages[0]).toEqual({
    id: "fold",
    uses: "fold",
    resource: "train",
    inputs: { documents: { stage: "numbers", output: "documents" } },
    outputs: { checkpoint: "checkpoint" },
    recipe: { steps: 7, start: 0 },
    execution: { stepMs: 5, checkpointEvery: 1, faultStep: 2 },
    retry: { attempts: 3, delayMs: 1000, heartbeatMs: 15_000, stallMs: 300_000, graceMs: 60_000 },
  });
});

test("an input may be an artifact that is in the store already", async () => {
  const digest = "a".repeat(64);
  const { stages } = await read(GOOD.replace("numbers.documents", `artifact:${digest}`));
  expect(stages[0]!.inputs).toEqual({ documents: { kind: "documents", digest } });
});

test("overrides go by stage id and are parsed as YAML", async () => {
  const overrides = ["stages.fold.recipe.steps=20", "stages.numbers.recipe={ count: 3 }", "numerics=fp32"];
  const pipeline = await read(GOOD, { overrides, seed: 9 });
  expect(pipeline).toMatchObject({ seed: 9, numerics: "fp32" });
  expect(pipeline.stages.map(({ recipe }) => recipe)).toEqual([{ steps: 20, start: 0 }, { count: 3 }]);
});

test.each([
  ["an unknown key of a stage's recipe", GOOD.replace("steps: 7", "stepz: 7"), "line 8, stages.fold.recipe.stepz: expected one of steps, start, found the unknown key stepz"],
  ["an unknown key of the file", `${GOOD}colour: red\n`, "line 11, colour: expected one of name, seed, numerics, stages, found the unknown key colour"],
  ["a wrong type", GOOD.replace("steps: 7", "steps: many"), 'line 8, stages.fold.recipe.steps: expected number, found "many"'],
  ["a value out of range", GOOD.replace("steps: 7", "steps: -7"), "line 8, stages.fold.recipe.steps: too small: expected number to be >0, found -7"],
  ["a missing key", GOOD.replace("seed: 1\n", ""), "seed: expected number, found nothing"],
  ["an unknown choice", `${GOOD}numerics: fp16\n`, 'line 11, numerics: expected "auto" or "fp32" or "bf16", found "fp16"'],
  ["an unknown kind of stage", GOOD.replace("uses: fold", "uses: fald"), "line 5, stages.fold.uses: expected one of numbers, fold, tally, found fald"],
  ["an unknown stage", GOOD.replace("numbers.documents", "words.documents"), "line 6, stages.fold.inputs.documents: expected one of the stages fold, numbers, found words"],
  ["an unknown output", GOOD.replace("numbers.documents", "numbers.shards"), "line 6, stages.fold.inputs.documents: expected one of numbers's outputs documents, found shards"],
  ["an unknown role", GOOD.replace("{ documents:", "{ checkpoint: fold.checkpoint, texts: numbers.documents, documents:"), /inputs\.texts: expected one of documents, checkpoint, found the unknown role texts/],
  ["a wrong kind of artifact", GOOD.replace("numbers.documents", "numbers.documents, checkpoint: numbers.documents"), "line 6, stages.fold.inputs.checkpoint: expected a checkpoint artifact, found numbers.documents, a documents artifact"],
  ["a missing input", GOOD.replace("    inputs: { documents: numbers.documents }\n", ""), "line 4, stages.fold.inputs: expected documents (a documents artifact, such as numbers.documents), found nothing"],
  ["a circle", GOOD.replace("numbers.documents", "numbers.documents, checkpoint: fold.checkpoint"), "line 4, stages.fold: expected stages without a circle, found fold <- fold"],
  ["an id used twice", GOOD.replace("id: numbers", "id: fold"), /line 9, stages.fold.id: expected an id of its own, found fold a second time/],
  ["what is not YAML", "name: [", /^line 1: expected YAML, found /],
  ["what is not a pipeline", "hello", 'line 1: expected a pipeline (name, seed, stages), found "hello"'],
])("%s is refused with its place", async (_, text, message) => {
  const found = await problems(text);
  if (typeof message === "string") expect(found).toBe(message);
  else expect(found).toMatch(message);
});

test.each([
  ["stages.fold.recipe.steps=no", '--set stages.fold.recipe.steps: expected number, found "no"'],
  ["stages.fald.recipe.steps=1", "--set stages.fald.recipe.steps=1: expected one of fold, numbers, found fald"],
  ["name.first=1", '--set name.first=1: expected settings under name, found "folding"'],
  ["steps", "--set steps: expected key=value, found no key before an ="],
])("the override %s is refused", async (override, message) => {
  expect(await problems(GOOD, { overrides: [override] })).toBe(message);
});

test("a file that is not there is refused", async () => {
  const missing = readPipeline(join(folder, "none.yaml"), await loadRegistry(TEST_STAGES));
  await expect(missing).rejects.toThrow(/none\.yaml: expected a pipeline file, found none/);
});

test("plans are made in order of the inputs", async () => {
  const plans = await planPipeline(await read(GOOD), await loadRegistry(TEST_STAGES));
  expect([...plans]).toEqual([["numbers", { tokens: 10 }], ["fold", {}]]);
});
