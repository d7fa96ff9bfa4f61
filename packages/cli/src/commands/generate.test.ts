import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { saveCheckpoint } from "@diffucoder/formats";
import { openStore } from "@diffucoder/lineage";
import { initialParameters, toHuggingFace, type ModelConfig } from "@diffucoder/model";
import { Tokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createCommand } from "../command.ts";

const folder = mkdtempSync(join(tmpdir(), "generate-"));
const tokenizer = new Tokenizer([]);
/** Half of the rows have no token: published models have some of those, too. */
const model: ModelConfig = { hiddenSize: 8, intermediateSize: 8, layers: 1, heads: 1, kvHeads: 1, headDim: 8, tied: true, ropeTheta: 10_000, normEpsilon: 1e-6, initializerRange: 0.1, vocabSize: 2 * tokenizer.vocabSize, maxPositions: 64, maskId: tokenizer.id("<|mask|>"), padId: tokenizer.id("<|dlm_pad|>") };
let printed = "";

beforeAll(async () => {
  vi.stubEnv("DIFFUCODER_HOME", folder);
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((printed += String(text)), true));
  const store = await openStore(join(folder, "store"));
  const directory = join(folder, "checkpoint");
  await saveCheckpoint(directory, { config: toHuggingFace(model), parameters: initialParameters(model, 1), tokenizerJson: tokenizer.toJson(), trainerState: {}, metrics: [] });
  await store.names.assign("model@1", await store.artifacts.publish("checkpoint", directory, {}));
  await store.names.assign("report@1", await store.artifacts.publish("report", directory, {}));
});
afterAll(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

interface Answer {
  readonly text: string;
  readonly program: string | null;
  readonly tokens: readonly { readonly text: string; readonly step: number; readonly confidence: number }[];
}

async function generate(...args: string[]): Promise<string> {
  printed = "";
  await createCommand().parseAsync(["generate", "model@1", ...args], { from: "user" });
  return printed;
}

test("a row of the model without a token is chosen like any other, and read as what no program has", async () => {
  const { text, program, tokens } = JSON.parse(await generate("--prefix", "def f", "--suffix", "x", "--gap", "24", "--temperature", "1", "-o", "json")) as Answer;
  expect(tokens.length).toBeGreaterThanOrEqual(24); // half of the rows: were it to fail, it would do so at one of these
  expect(tokens.some(({ text }) => text === "\ufffd")).toBe(true);
  expect(text).toContain("\ufffd");
  expect(program).toBeNull();
});

test("a trace has a line for each token, with its step and how sure the model was; the same seed gives the same", async () => {
  const options = ["--prompt", "a", "--canvas", "60", "--steps", "5", "--temperature", "1", "--trace"];
  const first = await generate(...options);
  expect(first).toMatch(/^( +[0-4] +-?\d\.\d{3} {2}".*"\n)+$/);
  expect(await generate(...options)).toBe(first);
  expect(await generate(...options, "--seed", "2")).not.toBe(first);
});

test("another artifact is refused", async () => {
  await expect(createCommand().parseAsync(["generate", "report@1", "--prompt", "a"], { from: "user" })).rejects.toMatchObject({ code: "NotACheckpoint", message: "report@1: expected a checkpoint, found a report artifact" });
});
