// The corpus stage on real trees, its work shared by several processes of one or two workers.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isProcessAlive, openStore, runStage, type JsonObject } from "@diffucoder/lineage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadRegistry, PORTABLE_NUMERICS } from "../src/index.ts";
import { nodeArguments } from "../src/source-mode.ts";
import { stageOf, TestHome } from "../src/testing/test-home.ts";
import { workerStateFile } from "../src/worker.ts";

const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(tmpdir(), "corpus-run-"));

/** Installed packages: five slices, of whose files some dozens are asked for. */
const TREES = ["zod", "yaml"];
const RECIPE = { preset: "refinecode", sources: TREES.map((name) => ({ card: join(folder, `${name}.yaml`) })) };

let digest: string;
beforeAll(async () => {
  const words = { title: "t", description: "d", selection: "s", personalData: "p", benchmarkOverlap: "b", knownGaps: "k", fitUses: "f", unfitUses: "u" };
  const largestLoss = { quality: 1, "near-duplicates": 1, "exact-duplicates": 1 };
  for (const id of TREES) {
    const origin = { kind: "tree", path: dirname(require.resolve(`${id}/package.json`)), license: "MIT" };
    writeFileSync(join(folder, `${id}.yaml`), JSON.stringify({ id, version: "1", ...words, origin, include: ["v4/core/*.js", "dist/schema/**/*.js"], largestLoss })); // JSON is YAML
  }
  const definition = await (await loadRegistry()).stage("corpus");
  const request = { recipe: RECIPE, execution: {}, inputs: {}, seed: 1, baseDirectory: folder };
  const outcome = await runStage({ store: await openStore(join(folder, "store")), definition, request, numerics: PORTABLE_NUMERICS, signal: new AbortController().signal, now: Date.now });
  digest = outcome.outputs.documents!.digest;
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

const start = (project: TestHome, execution: JsonObject) => project.startOne("corpus", { seed: 1, recipe: RECIPE, execution });

/** Slices that parts say they have done, each with how many of its pieces had to be made. */
const slicesDone = (log: string) => [...log.matchAll(/^slice (\d+) \(\w+\): (\d) of (\d) pieces made$/gm)].map(([, slice, made, all]) => ({ slice: Number(slice), made: Number(made), all: Number(all) }));

test("one worker and two parts", async () => {
  const project = await TestHome.open(null);
  try {
    const runId = await start(project, { partitions: 2 });
    expect(stageOf(await project.end(runId), "corpus")).toMatchObject({ state: "done", outputs: { documents: { digest } } });
    const log = project.log(runId, "corpus");
    expect(slicesDone(log).sort((a, b) => a.slice - b.slice)).toEqual([1, 2, 3, 4, 5].map((slice) => ({ slice, made: 5, all: 5 }))); // files, language, quality, copyright, personal data
    expect(log).toContain("zod: 4 of 4 slices found\nyaml: 1 of 1 slices found\n");
  } finally {
    await project.close();
  }
}, 180_000);

test("two workers and five parts, the process of one of which is killed: it alone is done again, but for what it had finished", async () => {
  const project = await TestHome.open(null);
  const env = { ...process.env, DIFFUCODER_HOME: project.home.root };
  const second = spawn(process.execPath, [...nodeArguments("worker-process"), "cpu"], { env, stdio: "ignore" });
  try {
    while (!existsSync(workerStateFile(project.home, ["cpu"])) && isProcessAlive(second.pid!)) await sleep(20);
    const runId = await start(project, { partitions: 5 });
    process.kill(await project.stageProcess(), "SIGKILL");
    const done = await project.end(runId);
    expect(stageOf(done, "corpus")).toMatchObject({ state: "done", outputs: { documents: { digest } } });
    const log = project.log(runId, "corpus");
    const made = slicesDone(log).filter(({ made: count }) => count > 0);
    expect(made.map(({ slice }) => slice).sort()).toEqual([1, 2, 3, 4, 5]);
    const attempts = [...log.matchAll(/attempt at part (\d) of 5$/gm)].map(([, part]) => part!);
    expect(new Set(attempts).size).toBe(5);
    expect(attempts).toHaveLength(6);
    const { events } = await project.session.client.workflow.getHandle(`${runId}/corpus/1`).fetchHistory();
    const workers = new Set(events!.flatMap(({ activityTaskStartedEventAttributes: started }) => started?.identity ?? []));
    expect([...workers].filter((identity) => identity.startsWith(`${second.pid}@`) || identity.startsWith(`${project.worker()}@`))).toHaveLength(2);
  } finally {
    await project.close();
  }
}, 180_000);
