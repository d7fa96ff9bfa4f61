import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore, runStage, StageError, type ArtifactRef } from "@diffucoder/lineage";
import { afterAll, expect, test } from "vitest";
import { readPipeline } from "./pipeline-recipe.ts";
import { previewPipeline } from "./preview.ts";
import { loadRegistry, PORTABLE_NUMERICS, type StageRegistry } from "./stages.ts";
import { TEST_STAGES } from "./testing/test-home.ts";

const folder = mkdtempSync(join(tmpdir(), "preview-"));
afterAll(() => rmSync(folder, { recursive: true }));
const registry = await loadRegistry(TEST_STAGES);
const store = await openStore(join(folder, "store"));

async function pipelineOf(seed: number, documents = "numbers.documents") {
  const file = join(folder, "folding.yaml");
  const stages = [
    { id: "again", uses: "fold", inputs: { documents, checkpoint: "fold.checkpoint" } },
    { id: "fold", uses: "fold", inputs: { documents } },
    { id: "numbers", uses: "numbers" },
  ];
  writeFileSync(file, JSON.stringify({ name: "folding", seed, stages }));
  return readPipeline(file, registry);
}

const preview = async (seed: number, documents?: string, stages: StageRegistry = registry) => previewPipeline(await pipelineOf(seed, documents), stages, store);
const kinds = async (...args: Parameters<typeof preview>): Promise<string[]> => (await preview(...args)).map(({ id, kind }) => `${id} ${kind}`);

async function make(uses: string, seed: number, inputs: Record<string, ArtifactRef>): Promise<Readonly<Record<string, ArtifactRef>>> {
  const request = { recipe: {}, execution: {}, inputs, seed, baseDirectory: folder };
  return (await runStage({ store, definition: await registry.stage(uses), request, numerics: PORTABLE_NUMERICS, signal: new AbortController().signal, now: Date.now })).outputs;
}

test("stages come in the order they would run, each found, to be run, or behind one that is", async () => {
  expect(await preview(1)).toMatchObject([
    { id: "numbers", kind: "runs", keyed: { facts: { seed: 1 } } },
    { id: "fold", kind: "waits", on: ["numbers"] },
    { id: "again", kind: "waits", on: ["numbers", "fold"] },
  ]);
  const { documents } = await make("numbers", 1, {});
  expect(await kinds(1)).toEqual(["numbers cached", "fold runs", "again waits"]);
  await make("fold", 1, { documents: documents! });
  expect(await kinds(1)).toEqual(["numbers cached", "fold cached", "again runs"]);
  expect(await kinds(2)).toEqual(["numbers runs", "fold waits", "again waits"]);
  // An input by digest is there already, whoever made it.
  expect(await kinds(1, `artifact:${documents!.digest}`)).toEqual(["fold cached", "again runs", "numbers cached"]);
});

test("a stage whose key cannot be computed says why, and those behind it wait", async () => {
  const broken = (error: Error): StageRegistry => ({
    ...registry,
    stage: async (name) => ({ ...(await registry.stage(name)), sources: () => Promise.reject(error) }),
  });
  const missing = new StageError({ code: "SourceMissing", message: "card x: expected a directory", retryable: false });
  expect(await preview(1, undefined, broken(missing))).toEqual([
    { id: "numbers", kind: "refused", reason: "card x: expected a directory" },
    { id: "fold", kind: "waits", on: ["numbers"] },
    { id: "again", kind: "waits", on: ["numbers", "fold"] },
  ]);
  await expect(preview(1, undefined, broken(new TypeError("a mistake")))).rejects.toThrow("a mistake");
});
