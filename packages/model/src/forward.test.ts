import { loadBackend } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { plainForward } from "../test/plain-forward.ts";
import { tinyConfig, vividParameters } from "../test/tiny-model.ts";
import { annealedAttentionBias } from "./attention-annealing.ts";
import type { Architecture, ModelConfig } from "./config.ts";
import { forward, predictingRow } from "./forward.ts";

beforeAll(async () => {
  await loadBackend();
});

const LENGTH = 6;
const TOKENS = [1, 2, 3, 4, 5, 6];

function logitsOf(
  tokens: number[][],
  changes: { config?: ModelConfig; bias?: Float32Array; rows?: number[]; parameters?: Map<string, NamedTensor> } = {},
): number[][] {
  const { config = tinyConfig() } = changes;
  return tf.tidy(() => {
    const parameters = Object.fromEntries([...(changes.parameters ?? vividParameters(config))].map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]));
    const logits = forward(config, parameters, tf.tensor2d(tokens, undefined, "int32"), {
      ...(changes.bias === undefined ? {} : { attentionBias: tf.tensor2d(changes.bias, [LENGTH, LENGTH]) }),
      ...(changes.rows === undefined ? {} : { rows: tf.tensor1d(changes.rows, "int32") }),
    });
    return logits.arraySync();
  });
}

const furthest = (a: number[], b: number[]) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
const causal = () => annealedAttentionBias(LENGTH, 0, stream({ seed: 1, stage: "t", purpose: "b" }));
const rowsOf = (bias: Float32Array) => Array.from({ length: LENGTH }, (_, row) => [...bias.subarray(row * LENGTH, (row + 1) * LENGTH)]);

describe("forward", () => {
  it.each<[string, Partial<Architecture>]>([
    ["grouped queries, tied head", {}],
    ["grouped queries, untied head", { tied: false }],
    ["one key-value head for all", { kvHeads: 1 }],
    ["a key-value head for each", { kvHeads: 4 }],
    ["heads wider than their share", { headDim: 10 }],
    ["a large theta and epsilon", { ropeTheta: 1_000_000, normEpsilon: 0.1 }],
    ["a small theta", { ropeTheta: 2 }],
    ["one layer", { layers: 1 }],
  ])("is the Qwen2 layout as written down in plain arrays: %s", (_, changes) => {
    const config = tinyConfig(changes);
    const parameters = vividParameters(config);
    const other = [0, 10, 9, 9, 3, 7];
    const partly = annealedAttentionBias(LENGTH, 0.5, stream({ seed: 2, stage: "t", purpose: "b" }));
    for (const bias of [undefined, causal(), partly]) {
      const expected = [TOKENS, other].flatMap((tokens) => plainForward(config, parameters, tokens, bias === undefined ? undefined : rowsOf(bias)));
      const actual = logitsOf([TOKENS, other], { config, parameters, ...(bias === undefined ? {} : { bias }) });
      expect(actual.flat()).toHaveLength(2 * LENGTH * config.vocabSize);
      const size = Math.max(...expected.flat().map(Math.abs));
      expect(size).toBeGreaterThan(1);
      expect(furthest(actual.flat(), expected.flat()) / size).toBeLessThan(1e-5);
    }
  });

  it("sees both directions; with a causal bias only the past", () => {
    const changed = [1, 2, 3, 4, 5, 7];
    expect(furthest(logitsOf([TOKENS])[0]!, logitsOf([changed])[0]!)).toBeGreaterThan(1e-3);
    const [before, after] = [logitsOf([TOKENS], { bias: causal() }), logitsOf([changed], { bias: causal() })];
    for (let row = 0; row < LENGTH - 1; row++) expect(after[row]).toEqual(before[row]);
    expect(furthest(before[LENGTH - 1]!, after[LENGTH - 1]!)).toBeGreaterThan(1e-3);
  });

  it("keeps canvases of a batch apart, and gives just the rows asked for", () => {
    const other = [7, 7, 7, 1, 0, 2];
    const both = logitsOf([TOKENS, other]);
    expect(furthest(both.slice(LENGTH).flat(), logitsOf([other]).flat())).toBeLessThan(1e-5);
    const wanted = logitsOf([TOKENS, other], { rows: [predictingRow(1, 3, LENGTH), predictingRow(0, 1, LENGTH), 0] });
    expect(wanted).toHaveLength(3);
    expect(furthest(wanted[0]!, both[LENGTH + 2]!)).toBeLessThan(1e-5);
    expect(furthest(wanted[1]!, both[0]!)).toBeLessThan(1e-5);
    expect(wanted[2]).toEqual(wanted[1]);
  });

  it("computes past the last attention just the rows asked for", async () => {
    const { kernels } = await tf.profile(() => logitsOf([TOKENS, TOKENS], { rows: [3, 7, 8] }));
    const products = kernels.filter(({ name }) => name === tf.BatchMatMul).map(({ outputShapes }) => outputShapes[0]!);
    const rowsMultiplied = products.filter(({ length }) => length === 2).map(([rows]) => rows); // attention's have a matrix for each head
    // Projections of three inputs, attention's output, gate and up, down for each of two layers; then the head.
    expect(rowsMultiplied.filter((rows) => rows === 3)).toHaveLength(4);
    expect(rowsMultiplied.filter((rows) => rows === 2 * LENGTH)).toHaveLength(5);
  });

  it("knows positions only relative to each other", () => {
    // Each row sees itself and the one before. Through two layers rows 2 and 5 then see the same tokens, 2 1 2.
    const nearest = Float32Array.from({ length: LENGTH * LENGTH }, (_, i) => ([0, 1].includes(Math.floor(i / LENGTH) - (i % LENGTH)) ? 0 : -1e9));
    const rows = logitsOf([[2, 1, 2, 2, 1, 2]], { bias: nearest });
    expect(furthest(rows[2]!, rows[5]!)).toBeLessThan(1e-4);
    expect(furthest(rows[2]!, rows[3]!)).toBeGreaterThan(1e-2);
  });

  it("leaves no tensor behind, and its operands alone", () => {
    const config = tinyConfig();
    const parameters = Object.fromEntries([...vividParameters(config)].map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]));
    const [tokens, bias, rows] = [tf.tensor2d([TOKENS], undefined, "int32"), tf.tensor2d(causal(), [LENGTH, LENGTH]), tf.tensor1d([0, 3], "int32")];
    const before = tf.memory().numTensors;
    const logits = forward(config, parameters, tokens, { attentionBias: bias, rows });
    expect(logits.shape).toEqual([2, config.vocabSize]);
    expect(tf.memory().numTensors).toBe(before + 1);
    tf.dispose([logits, tokens, bias, rows, parameters]);
  });

  it("refuses an attention bias of another shape", () => {
    tf.tidy(() => {
      const run = (shape: [number, number]) => () => forward(tinyConfig(), {}, tf.zeros([2, LENGTH], "int32"), { attentionBias: tf.zeros(shape) });
      expect(run([1, LENGTH])).toThrow(expect.objectContaining({ code: "WrongShape", message: "attention bias: expected [6,6], found [1,6]" }));
      expect(run([LENGTH, 7])).toThrow("expected [6,6], found [6,7]");
    });
  });
});

describe("the row that predicts a token", () => {
  it("is the one before it", () => {
    expect([predictingRow(0, 1, 6), predictingRow(0, 5, 6), predictingRow(1, 1, 6), predictingRow(2, 3, 8)]).toEqual([0, 4, 6, 18]);
  });
});
