// `diffucoder analyze`, of a run, of an artifact and of a folder.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Analysis } from "@diffucoder/evaluation";
import { openStore } from "@diffucoder/lineage";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createCommand } from "../command.ts";

const folder = mkdtempSync(join(tmpdir(), "diffucoder-analyze-"));
const exported = join(folder, "exported");
const page = join(folder, "page.html");
let digest: string;

/** An evaluation of two tasks: the baseline solves the first from right to left, the candidate both from left to right. */
function writeReport(): void {
  mkdirSync(exported);
  const decoding = { canvasLength: 8, steps: 2, algorithm: "entropy", topP: 1 };
  const checkpoints = ["baseline", "candidate"].map((role, i) => ({ role, stage: role, step: i, digest: String(i).repeat(64) }));
  writeFileSync(join(exported, "report.json"), JSON.stringify({ seed: 3, benchmarks: [{ name: "held-out", decoding }], checkpoints }));
  const lines = checkpoints.flatMap(({ role }, after) =>
    ["a", "b"].map((task_id) => {
      const order = after === 1 ? [0, 1] : [1, 0];
      return { checkpoint: role, benchmark: "held-out", task_id, temperature: 0, sample: 0, seed: 3, passed: after === 1 || task_id === "a", answerTokens: 2, order, trace: order, confidences: [0, -1] };
    }),
  );
  writeFileSync(join(exported, "samples.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

beforeAll(async () => {
  vi.stubEnv("DIFFUCODER_HOME", folder);
  writeReport();
  const store = await openStore(join(folder, "store"));
  const report = await store.artifacts.publish("report", exported, {});
  digest = report.digest;
  await store.names.assign("evaluation.report@run-1", report);
  await store.names.assign("tokenize.shards@run-1", await store.artifacts.publish("shards", exported, {}));
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** The command within this process: what it prints. */
async function analyze(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const outputs = [vi.spyOn(process.stdout, "write").mockReturnValue(true), vi.spyOn(process.stderr, "write").mockReturnValue(true)];
  try {
    await createCommand().parseAsync(["analyze", ...args, "--out", page], { from: "user" });
    const [stdout, stderr] = outputs.map(({ mock }) => mock.calls.map(([text]) => text).join("")) as [string, string];
    return { stdout, stderr };
  } finally {
    for (const output of outputs) output.mockRestore();
  }
}

const json = async (...args: string[]) => JSON.parse((await analyze(...args, "-o", "json")).stdout) as Analysis;

test("the main figures are printed and the page is written", async () => {
  const { stdout, stderr } = await analyze(exported);
  expect(stdout.split("\n").map((line) => line.replace(/ +/g, " "))).toEqual([
    "benchmark checkpoint steps pass@1 local AR-ness global AR-ness",
    "held-out baseline, step 0, 000000000000 2 50.0 % 0.000 0.500",
    "held-out candidate, step 1, 111111111111 2 100.0 % 0.500 1.000",
    "2 of 3 differences between candidates and baselines are clear of zero",
    "no checkpoint was decoded in several numbers of steps, so there is no study of them",
    "",
  ]);
  expect(stderr).toBe(`page: ${page}\n`);
  expect(readFileSync(page, "utf8")).toContain("run ");
});

test("a run, its report by name, and the same by folder say the same of the same answers", async () => {
  expect((await json("run-1")).runs).toEqual([{ name: "evaluation.report@run-1", seed: 3 }]);
  expect((await json("evaluation.report@run-1")).runs).toEqual([{ name: "evaluation.report@run-1", seed: 3 }]);
  const { runs, series } = await json("run-1", exported, exported);
  expect(runs.map(({ name }) => name)).toEqual(["evaluation.report@run-1", exported]);
  expect(series).toHaveLength(2);
  expect(series[0]!.temperatures[0]).toMatchObject({ tasks: 2, samplesPerTask: 1 });
});

test("what is no report is refused, and leaves no page", async () => {
  rmSync(page, { force: true });
  await expect(analyze("tokenize.shards@run-1")).rejects.toMatchObject({ code: "Usage", message: "tokenize.shards@run-1: expected the report of an evaluation, found a shards artifact" });
  await expect(analyze("run-9")).rejects.toMatchObject({ code: "ArtifactMissing" });
  await expect(analyze(digest.slice(0, 3))).rejects.toMatchObject({ code: "ArtifactMissing" });
  expect(existsSync(page)).toBe(false);
});
