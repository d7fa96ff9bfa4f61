// A worker that is there for longer than the sources of a stage stay as they are.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { outdatedWorkers } from "../src/index.ts";
import { writeState } from "../src/process-state.ts";
import { stageOf, TestHome } from "../src/testing/test-home.ts";
import { workerStateFile } from "../src/worker.ts";

const folder = mkdtempSync(join(tmpdir(), "changed-sources-"));
const setValue = (value: number) => writeFileSync(join(folder, "value.mjs"), `export const value = ${value};\n`);
// Without imports of packages, which do not lead anywhere from a temporary folder.
const STAGES = `
  import { mkdir, writeFile } from "node:fs/promises";
  import { join } from "node:path";
  import { fileURLToPath } from "node:url";
  import { value } from "./value.mjs";
  const anything = { safeParse: (data) => ({ success: true, data }) };
  const valueStage = {
    name: "value", packageName: "@diffucoder/orchestrator", entry: fileURLToPath(import.meta.url), resource: "cpu",
    inputs: {}, outputs: { documents: "documents" }, recipeSchema: anything, executionSchema: anything,
    async run(request, { scratchDir }) {
      const directory = join(scratchDir, "value");
      await mkdir(directory);
      await writeFile(join(directory, "value"), String(value));
      return { outputs: { documents: { kind: "documents", directory, meta: {} } }, summary: {} };
    },
  };
  export const stages = { value: valueStage };
  export const preferredDtype = async () => "fp32";
  export const numerics = async (dtype) => ({ dtype, instructionSet: "any", threads: 1, libtensorflow: "none" });
`;

let project: TestHome;
beforeAll(async () => {
  setValue(1);
  writeFileSync(join(folder, "package.json"), '{ "name": "@diffucoder/changed", "version": "0.0.0" }');
  writeFileSync(join(folder, "stages.mjs"), STAGES);
  project = await TestHome.open(join(folder, "stages.mjs"));
}, 60_000);
afterAll(async () => {
  await project.close();
  rmSync(folder, { recursive: true });
}, 60_000);

async function valueOf(): Promise<[state: string, value: string]> {
  const { state, outputs } = stageOf(await project.end(await project.startOne("value", { seed: 1 })), "value");
  return [state, readFileSync(await project.store.artifacts.file(outputs.documents!, "value"), "utf8")];
}

test("a worker that has loaded a stage's older sources finds no result of theirs, and lets the present ones run", async () => {
  const worker = project.worker();
  expect(await valueOf()).toEqual(["done", "1"]);
  expect(await valueOf()).toEqual(["cached", "1"]);
  setValue(2);
  expect(await valueOf()).toEqual(["done", "2"]);
  expect(await valueOf()).toEqual(["cached", "2"]);
  setValue(1);
  expect(await valueOf()).toEqual(["cached", "1"]);
  expect(project.worker()).toBe(worker);
});

test("workers of older sources are told", async () => {
  expect(outdatedWorkers(project.home)).toEqual([]);
  const file = workerStateFile(project.home, ["control", "cpu", "train"]);
  writeState(file, { ...(JSON.parse(readFileSync(file, "utf8")) as object), code: "older" });
  expect(outdatedWorkers(project.home).map(({ pid }) => pid)).toEqual([project.worker()]);
});
