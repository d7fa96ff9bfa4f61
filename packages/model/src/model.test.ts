import { createProgram, loadBackend, type Program } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { annealedAttentionBias, annealingRatio } from "./attention-annealing.ts";
import { architectureSchema, fromHuggingFace, toHuggingFace, type ModelConfig } from "./config.ts";
import { tokenCrossEntropy } from "./cross-entropy.ts";
import { diffusionFeeds, diffusionLossGraph } from "./diffusion-loss.ts";
import { forward, predictingRow } from "./forward.ts";
import { drawNoiseLevel, noiseCanvas } from "./noise.ts";
import { checkParameters, initialParameters, parameterCount, parameterShapes, trainingFlopsPerToken } from "./parameters.ts";
import { createSampler } from "./sampler.ts";

const config: ModelConfig = {
  ...architectureSchema.parse({ hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 4, kvHeads: 2 }),
  vocabSize: 11,
  maxPositions: 8,
  maskId: 9,
  padId: 10,
};
const LENGTH = 6;

beforeAll(async () => {
  await loadBackend();
});

function logitsOf(tokens: number[][], changes: { bias?: Float32Array; rows?: number[]; parameters?: Map<string, NamedTensor> } = {}): number[][] {
  return tf.tidy(() => {
    const parameters = Object.fromEntries(
      [...(changes.parameters ?? initialParameters(config, 3))].map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]),
    );
    const logits = forward(config, parameters, tf.tensor2d(tokens, undefined, "int32"), {
      ...(changes.bias === undefined ? {} : { attentionBias: tf.tensor2d(changes.bias, [LENGTH, LENGTH]) }),
      ...(changes.rows === undefined ? {} : { rows: tf.tensor1d(changes.rows, "int32") }),
    });
    return logits.arraySync();
  });
}

const difference = (a: number[], b: number[]) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

describe("config", () => {
  it("survives config.json", () => {
    expect(fromHuggingFace(toHuggingFace(config))).toEqual({ ...config, headDim: 4 });
    expect(() => fromHuggingFace({ ...toHuggingFace(config), hidden_size: "x" })).toThrow(/hidden_size/);
  });

  it("refuses shapes that do not fit", () => {
    const base = { hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 4, kvHeads: 2 };
    expect(() => architectureSchema.parse({ ...base, kvHeads: 3 })).toThrow("multiple of kvHeads");
    expect(() => architectureSchema.parse({ ...base, hiddenSize: 20 })).toThrow("multiple of 2 * heads");
    expect(() => architectureSchema.parse({ ...base, dropout: 1 })).toThrow("dropout");
  });
});

describe("parameters", () => {
  it("of the 7B layout number 7,615,616,512", () => {
    const large: ModelConfig = {
      ...architectureSchema.parse({ hiddenSize: 3584, intermediateSize: 18944, layers: 28, heads: 28, kvHeads: 4, tied: false }),
      vocabSize: 152064,
      maxPositions: 131072,
      maskId: 151666,
      padId: 151643,
    };
    expect(parameterCount(large)).toBe(7_615_616_512);
    expect(trainingFlopsPerToken(large, 0)).toBe(6 * (7_615_616_512 - 152064 * 3584));
  });

  it("begin the same for a seed, with the stated spread", () => {
    const first = initialParameters(config, 3).get("model.layers.0.mlp.up_proj.weight")!.data;
    expect(initialParameters(config, 3).get("model.layers.0.mlp.up_proj.weight")!.data).toEqual(first);
    expect(initialParameters(config, 4).get("model.layers.0.mlp.up_proj.weight")!.data).not.toEqual(first);
    expect(Math.sqrt(first.reduce((sum, value) => sum + value * value, 0) / first.length)).toBeCloseTo(0.02, 2);
  });

  it("are refused when one is missing, unknown or of another shape", () => {
    const parameters = initialParameters(config, 3);
    checkParameters(config, parameters);
    const norm = parameters.get("model.norm.weight")!;
    expect(() => checkParameters(config, new Map(parameters).set("x", norm))).toThrow("tensor x");
    expect(() => checkParameters(config, new Map(parameters).set("model.norm.weight", { ...norm, shape: [8] }))).toThrow("expected [16], found [8]");
    parameters.delete("model.norm.weight");
    expect(() => checkParameters(config, parameters)).toThrow("tensor model.norm.weight: expected [16], found nothing");
  });
});

describe("forward", () => {
  const tokens = [1, 2, 3, 4, 5, 6];

  it("sees both directions; with a causal bias only the past", () => {
    const changed = [1, 2, 3, 4, 5, 7];
    const causal = annealedAttentionBias(LENGTH, 0, stream({ seed: 1, stage: "t", purpose: "b" }));
    expect(difference(logitsOf([tokens])[0]!, logitsOf([changed])[0]!)).toBeGreaterThan(1e-5);
    const [before, after] = [logitsOf([tokens], { bias: causal }), logitsOf([changed], { bias: causal })];
    for (let row = 0; row < LENGTH - 1; row++) expect(difference(before[row]!, after[row]!)).toBeLessThan(1e-6);
    expect(difference(before[LENGTH - 1]!, after[LENGTH - 1]!)).toBeGreaterThan(1e-5);
  });

  it("keeps canvases of a batch apart, and computes just the rows asked for", () => {
    const other = [7, 7, 7, 1, 0, 2];
    const both = logitsOf([tokens, other]);
    expect(difference(both.slice(LENGTH).flat(), logitsOf([other]).flat())).toBeLessThan(1e-5);
    const rows = [predictingRow(1, 3, LENGTH), predictingRow(0, 1, LENGTH)];
    const wanted = logitsOf([tokens, other], { rows });
    expect(difference(wanted[0]!, both[LENGTH + 2]!)).toBeLessThan(1e-6);
    expect(difference(wanted[1]!, both[0]!)).toBeLessThan(1e-6);
  });

  it("knows positions only relative to each other", () => {
    // With one distinct token among equal ones, what a row sees depends on its distance from it.
    const at = (place: number) => logitsOf([tokens.map((_, i) => (i === place ? 1 : 2))]);
    expect(difference(at(2)[2]!, at(3)[2]!)).toBeGreaterThan(1e-5);
  });
});

describe("cross-entropy", () => {
  it("costs ln V for uniform logits, and has the gradient softmax minus one-hot", () => {
    tf.tidy(() => {
      const targets = tf.tensor1d([0, 2], "int32");
      expect(tokenCrossEntropy(tf.zeros([2, 11]), targets).arraySync()[0]).toBeCloseTo(Math.log(11), 6);
      const logits = tf.tensor2d([[1, 2, 3], [1000, 0, -1000]]);
      const losses = tokenCrossEntropy(logits, targets).arraySync();
      expect(losses[0]).toBeCloseTo(Math.log(Math.E + Math.E ** 2 + Math.E ** 3) - 1, 5);
      expect(losses[1]).toBeCloseTo(2000, 2);
      const gradient = (tf.grad((x) => tf.sum(tokenCrossEntropy(x as tf.Tensor2D, targets)))(logits) as tf.Tensor2D).arraySync();
      [0.0900 - 1, 0.2447, 0.6652].forEach((value, i) => expect(gradient[0]![i]).toBeCloseTo(value, 3));
    });
  });
});

describe("noise", () => {
  it("hides only maskable positions, never position 0, and nothing else changes", () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 9 }), (seed, noiseLevel, promptLength) => {
        const tokens = Array.from({ length: 10 }, (_, i) => i);
        const draws = stream({ seed, stage: "t", purpose: "noise" });
        const canvas = noiseCanvas({ tokens, isMaskable: (p) => p >= promptLength, noiseLevel, draws, maskId: 99 });
        for (let p = 0; p < 10; p++) expect(canvas.tokens[p]).toBe(canvas.masked.includes(p) ? 99 : p);
        for (const position of canvas.masked) expect(position).toBeGreaterThanOrEqual(Math.max(1, promptLength));
      }),
    );
  });

  it("hides with the stated probability, at levels within (1e-3, 1]", () => {
    const draws = stream({ seed: 5, stage: "t", purpose: "noise" });
    const levels = Array.from({ length: 2000 }, () => drawNoiseLevel(draws));
    expect(Math.min(...levels)).toBeGreaterThanOrEqual(1e-3);
    expect(Math.max(...levels)).toBeLessThanOrEqual(1);
    expect(levels.reduce((a, b) => a + b) / 2000).toBeCloseTo(0.5, 1);
    const { masked } = noiseCanvas({ tokens: new Array(5000).fill(1), isMaskable: () => true, noiseLevel: 0.3, draws, maskId: 9 });
    expect(masked.length / 5000).toBeCloseTo(0.3, 1);
  });

  it("opens the future in proportion", () => {
    expect([0, 4, 9, 20].map((step) => annealingRatio(step, 10))).toEqual([0.1, 0.5, 1, 1]);
    expect(annealingRatio(0, 0)).toBe(1);
    const draws = stream({ seed: 5, stage: "t", purpose: "bias" });
    const half = annealedAttentionBias(60, 0.5, draws);
    expect(half.filter((value) => value < 0).length / (60 * 59 / 2)).toBeCloseTo(0.5, 1);
    expect(annealedAttentionBias(4, 1, draws)).toEqual(new Float32Array(16));
  });
});

describe("diffusion loss", () => {
  const shape = { batchSize: 2, canvasLength: LENGTH, rowCapacity: 8, annealed: false };
  const originals = [
    [1, 2, 3, 4, 5, 6],
    [6, 5, 4, 3, 2, 1],
  ];
  const canvases = [
    { tokens: Int32Array.of(1, 9, 3, 9, 5, 6), masked: [1, 3], noiseLevel: 0.5 },
    { tokens: Int32Array.of(6, 5, 4, 3, 2, 9), masked: [5], noiseLevel: 0.25 },
  ];
  const feeds = () => ({ ...diffusionFeeds({ canvases, originals, maskableCount: 10, rowCapacity: 8 }) });

  async function program(parameters: Map<string, NamedTensor>, annealed = false): Promise<Program> {
    const graph = diffusionLossGraph(config, { ...shape, annealed });
    const created = await createProgram({
      variables: parameterShapes(config),
      dtype: "fp32",
      graphs: { loss: { ...graph, train: true } },
      optimizer: { beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0, decays: () => false, clipNorm: undefined },
    });
    created.writeVariables(parameters);
    return created;
  }

  it("weighs ln V by 1/t when the model knows nothing, under both normalisers", async () => {
    const zeros = new Map([...initialParameters(config, 1)].map(([name, { shape: s, data }]) => [name, { shape: s, data: new Float32Array(data.length) }]));
    const ready = await program(zeros);
    const { loss, lossPerMasked, crossEntropy } = ready.run("loss", feeds());
    const uniform = Math.log(config.vocabSize);
    expect(crossEntropy![0]).toBeCloseTo(uniform, 5);
    expect(loss![0]).toBeCloseTo((uniform * (2 / 0.5 + 1 / 0.25)) / 10, 5);
    expect(lossPerMasked![0]).toBeCloseTo((uniform * (2 / 0.5 + 1 / 0.25)) / 3, 5);
    ready.dispose();
  });

  it("scores the hidden tokens at the rows before them", async () => {
    const parameters = initialParameters(config, 1);
    const ready = await program(parameters);
    const logits = logitsOf(canvases.map(({ tokens }) => [...tokens]), { parameters });
    const crossEntropyAt = (row: number, target: number) =>
      Math.log(logits[row]!.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[row]![target]!;
    const expected = (crossEntropyAt(0, 2) + crossEntropyAt(2, 4)) / 0.5 + crossEntropyAt(LENGTH + 4, 1) / 0.25;
    expect(ready.run("loss", feeds()).loss![0]).toBeCloseTo(expected / 10, 4);
    ready.dispose();
  });

  it("has the gradient of its value", async () => {
    const parameters = initialParameters(config, 1);
    const ready = await program(parameters);
    const name = "model.layers.1.self_attn.k_proj.weight";
    const { shape: s, data } = parameters.get(name)!;
    const lossAt = (shift: number) => {
      const moved = data.map((value, i) => value + shift * Math.cos(i));
      ready.writeVariables(new Map(parameters).set(name, { shape: s, data: moved }));
      return ready.run("loss", feeds()).loss![0]!;
    };
    const slope = (lossAt(0.5) - lossAt(-0.5)) / 1;
    ready.writeVariables(parameters);
    ready.trainStep("loss", feeds(), { learningRate: 0, step: 1 });
    const gradient = ready.readOptimizer().first.get(name)!.data;
    const along = gradient.reduce((sum, value, i) => sum + value * Math.cos(i), 0);
    expect(Math.abs(along)).toBeGreaterThan(1e-6);
    expect(along / slope).toBeCloseTo(1, 1);
    ready.dispose();
  });

  it("takes an attention bias when annealed", async () => {
    const ready = await program(initialParameters(config, 1), true);
    const open = ready.run("loss", { ...feeds(), attentionBias: new Float32Array(LENGTH * LENGTH) }).loss![0]!;
    const causal = annealedAttentionBias(LENGTH, 0, stream({ seed: 1, stage: "t", purpose: "b" }));
    expect(ready.run("loss", { ...feeds(), attentionBias: causal }).loss![0]).not.toBe(open);
    ready.dispose();
  });
});

describe("sampler", () => {
  it("gives the logits that describe the last positions", async () => {
    const parameters = initialParameters(config, 2);
    const sampler = await createSampler(config, { batchSize: 2, canvasLength: LENGTH, windowLength: 4, dtype: "fp32" });
    sampler.setParameters(parameters);
    const tokens = [
      [1, 2, 3, 4, 5, 6],
      [9, 9, 1, 2, 0, 3],
    ];
    const logits = sampler.logitsOf(Int32Array.from(tokens.flat()));
    const all = logitsOf(tokens, { parameters });
    const expected = [1, 2, 3, 4, 7, 8, 9, 10].flatMap((row) => all[row]!);
    expect(difference([...logits], expected)).toBeLessThan(1e-5);
    sampler.dispose();
  });
});
