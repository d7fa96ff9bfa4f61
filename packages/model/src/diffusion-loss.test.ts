import { createProgram, loadBackend, type Program } from "@diffucoder/engine";
import type { NamedTensor } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import { beforeAll, describe, expect, it } from "vitest";
import { plainForward } from "../test/plain-forward.ts";
import { tinyConfig, vividParameters } from "../test/tiny-model.ts";
import { annealedAttentionBias, causalAttentionBias, closeFrom } from "./attention-annealing.ts";
import { diffusionFeeds, diffusionLossGraph } from "./diffusion-loss.ts";
import { cartWeights } from "./loss-weights.ts";
import { decays, joinedParameters, parameterShapes } from "./parameters.ts";

beforeAll(async () => {
  await loadBackend();
});

const LENGTH = 6;
const config = tinyConfig();
const originals = [
  [1, 2, 3, 4, 5, 6],
  [6, 5, 4, 3, 2, 1],
];
const canvases = [
  { tokens: Int32Array.of(1, 9, 3, 9, 5, 6), masked: [1, 3], noiseLevel: 0.5 },
  { tokens: Int32Array.of(6, 5, 4, 3, 2, 9), masked: [5], noiseLevel: 0.25 },
];
const feedsOf = (changes: Partial<Parameters<typeof diffusionFeeds>[0]> = {}) => ({ ...diffusionFeeds({ canvases, originals, maskableCount: 10, rowCapacity: 8, ...changes }) });

async function program(parameters: Map<string, NamedTensor>, annealed = false): Promise<Program> {
  const graph = diffusionLossGraph(config, { batchSize: 2, canvasLength: LENGTH, rowCapacity: 8, annealed });
  const created = await createProgram({
    variables: parameterShapes(config),
    dtype: "fp32",
    graphs: { loss: { ...graph, train: true } },
    optimizer: { beta1: 0, beta2: 0, epsilon: 1, weightDecay: 0, decays: () => false, clipNorm: undefined },
  });
  created.writeVariables(parameters);
  return created;
}

/** A model that knows nothing: all its logits are 0. */
const blank = () => new Map([...vividParameters(config)].map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(data.length) }]));

describe("diffusion feeds", () => {
  it("name, for each hidden token, the row before it, the token and the weight 1/t; the rest weighs nothing", () => {
    expect(feedsOf({ maskableCount: 7 })).toEqual({
      tokens: Int32Array.of(1, 9, 3, 9, 5, 6, 6, 5, 4, 3, 2, 9),
      rows: Int32Array.of(0, 2, 10, 0, 0, 0, 0, 0),
      targets: Int32Array.of(2, 4, 1, 0, 0, 0, 0, 0),
      weights: Float32Array.of(2, 2, 4, 0, 0, 0, 0, 0),
      isPresent: Float32Array.of(1, 1, 1, 0, 0, 0, 0, 0),
      maskableCount: Float32Array.of(7),
    });
    expect(feedsOf({ maskableCount: 0 }).maskableCount).toEqual(Float32Array.of(1)); // not to divide by 0
  });

  it("take other weights, token by token", () => {
    // Visible beside the hidden 1 and 3: 0, 2, 4, 5; beside the hidden 5: 0 to 4. With p = 1/2.
    const expected = [0.25 * (1 + 1 + 1 / 4 + 1 / 8), 0.25 * (1 / 4 + 1 + 1 + 1 / 2), 0.25 * (1 + 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16)];
    const { weights, ...rest } = feedsOf({ weightsOf: cartWeights(0.5) });
    expect([...weights]).toEqual([...expected, 0, 0, 0, 0, 0]);
    expect(rest).toEqual((({ weights: _, ...others }) => others)(feedsOf()));
  });

  it("are refused when the rows do not hold all hidden tokens", () => {
    expect(feedsOf({ rowCapacity: 3 }).rows).toEqual(Int32Array.of(0, 2, 10));
    expect(() => feedsOf({ rowCapacity: 2 })).toThrow(expect.objectContaining({ code: "WrongShape", message: "masked rows: expected at most 2, found 3" }));
  });
});

describe("diffusion loss", () => {
  it("weighs ln V by 1/t when the model knows nothing, under both normalisers", async () => {
    const ready = await program(blank());
    const uniform = Math.log(config.vocabSize);
    const { loss, lossPerMasked, crossEntropy } = ready.run("loss", feedsOf());
    expect(crossEntropy![0]).toBeCloseTo(uniform, 5);
    // Two tokens at t = 0.5 and one at 0.25: weights 2 + 2 + 4, over 10 maskable or 3 hidden tokens.
    expect(loss![0]).toBeCloseTo((uniform * 8) / 10, 5);
    expect(lossPerMasked![0]).toBeCloseTo((uniform * 8) / 3, 5);
    const nothingHidden = feedsOf({ canvases: canvases.map((canvas) => ({ ...canvas, masked: [] })) });
    expect(ready.run("loss", nothingHidden)).toEqual({ loss: Float32Array.of(0), lossPerMasked: Float32Array.of(0), crossEntropy: Float32Array.of(0) });
    ready.dispose();
  });

  it("scores the hidden tokens at the rows before them", async () => {
    const parameters = vividParameters(config);
    const ready = await program(parameters);
    const crossEntropyAt = (canvas: number, position: number) => {
      const row = plainForward(config, parameters, [...canvases[canvas]!.tokens])[position - 1]!;
      return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[originals[canvas]![position]!]!;
    };
    const [first, second, third] = [crossEntropyAt(0, 1), crossEntropyAt(0, 3), crossEntropyAt(1, 5)];
    const weighted = (first + second) / 0.5 + third / 0.25;
    const { loss, lossPerMasked, crossEntropy } = ready.run("loss", feedsOf());
    expect(loss![0]! / (weighted / 10)).toBeCloseTo(1, 5);
    expect(lossPerMasked![0]! / (weighted / 3)).toBeCloseTo(1, 5);
    expect(crossEntropy![0]! / ((first + second + third) / 3)).toBeCloseTo(1, 5);
    ready.dispose();
  });

  it("has the gradient of its value, in every kind of parameter", async () => {
    const parameters = vividParameters(config);
    const ready = await program(parameters);
    ready.trainStep("loss", feedsOf(), { learningRate: 0, step: 1 });
    const gradients = ready.readOptimizer().first; // with beta1 = 0 the first moment is the gradient
    const kinds = Object.keys(parameterShapes(config)).filter((name) => !name.startsWith("model.layers.1"));
    for (const name of kinds) {
      const { shape, data } = parameters.get(name)!;
      const direction = (i: number) => Math.cos(2 * i + 1);
      const lossAt = (distance: number) => {
        ready.writeVariables(new Map(parameters).set(name, { shape, data: data.map((value, i) => value + distance * direction(i)) }));
        return ready.run("loss", feedsOf(), ["loss"]).loss![0]!;
      };
      const slope = (lossAt(2e-3) - lossAt(-2e-3)) / 4e-3;
      const along = gradients.get(name)!.data.reduce((sum, value, i) => sum + value * direction(i), 0);
      // A bias of the keys adds the same to every score of a query, up to the rotation: its slope may be small.
      expect(Math.abs(along - slope) / Math.max(0.1, Math.abs(slope)), name).toBeLessThan(0.02);
    }
    ready.dispose();
  });

  it("is trained to the bit alike with joined projections and with projections apart", async () => {
    const [joined, alone] = await Promise.all([joinedParameters(config), {}].map(async (joins) => {
      const program = await createProgram({
        variables: parameterShapes(config),
        joins,
        dtype: "fp32",
        optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 0.5, decays: decays(config) },
        graphs: { loss: { ...diffusionLossGraph(config, { batchSize: 2, canvasLength: LENGTH, rowCapacity: 8, annealed: false }), train: true } },
      });
      program.writeVariables(vividParameters(config));
      const steps = [1, 2, 3].map((step) => program.trainStep("loss", feedsOf(), { learningRate: 0.01, step }));
      const trained = { steps, variables: program.readVariables(), optimizer: program.readOptimizer() };
      program.dispose();
      return trained;
    }));
    expect(joined).toEqual(alone);
  });

  it("takes an attention bias when annealed", async () => {
    const parameters = vividParameters(config);
    const [annealed, plain] = [await program(parameters, true), await program(parameters)];
    const lossWith = (attentionBias: Float32Array) => annealed.run("loss", { ...feedsOf(), attentionBias }).loss![0]!;
    const open = new Float32Array(LENGTH * LENGTH);
    expect(lossWith(open)).toBeCloseTo(plain.run("loss", feedsOf()).loss![0]!, 4);
    const causal = annealedAttentionBias(LENGTH, 0, stream({ seed: 1, stage: "t", purpose: "b" }));
    // Nothing after the row that predicts the last token can be seen, and nothing before it is hidden from it in turn.
    const rows = Array.from({ length: LENGTH }, (_, row) => [...causal.subarray(row * LENGTH, (row + 1) * LENGTH)]);
    const weighted = canvases.flatMap(({ tokens, masked, noiseLevel }, canvas) =>
      masked.map((position) => {
        const logits = plainForward(config, parameters, [...tokens], rows)[position - 1]!;
        return (Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[originals[canvas]![position]!]!) / noiseLevel;
      }),
    );
    expect(lossWith(causal) / (weighted.reduce((a, b) => a + b) / 10)).toBeCloseTo(1, 5);
    expect(() => annealed.run("loss", feedsOf())).toThrow("input attentionBias");
    expect(() => plain.run("loss", { ...feedsOf(), attentionBias: open })).toThrow("found attentionBias");
    annealed.dispose();
    plain.dispose();
  });

  it("is next-token cross-entropy when nothing is hidden but by causal attention", async () => {
    const parameters = vividParameters(config);
    const ready = await program(parameters, true);
    const feeds = diffusionFeeds({
      canvases: originals.slice(0, 1).concat([[6, 0, 0, 0, 0, 0]]).map((tokens, i) => ({ tokens: Int32Array.from(tokens), masked: i === 0 ? [1, 2, 3, 4, 5] : [], noiseLevel: 1 })),
      originals,
      maskableCount: 5,
      rowCapacity: 8,
    });
    // Of each prefix alone: the last row of the plain model predicts what comes next.
    const crossEntropies = [1, 2, 3, 4, 5].map((length) => {
      const prefix = originals[0]!.slice(0, length);
      const causal = prefix.map((_, row) => prefix.map((__, column) => (column > row ? -1e9 : 0)));
      const logits = plainForward(config, parameters, prefix, causal)[length - 1]!;
      return Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[originals[0]![length]!]!;
    });
    const mean = crossEntropies.reduce((a, b) => a + b) / 5;
    const { loss, lossPerMasked, crossEntropy } = ready.run("loss", { ...feeds, attentionBias: causalAttentionBias(LENGTH) });
    for (const found of [loss, lossPerMasked, crossEntropy]) expect(found![0]! / mean).toBeCloseTo(1, 5);
    ready.dispose();
  });

  it("of canvases cut at an end is that of canvases of that length", async () => {
    const parameters = vividParameters(config);
    const cutFeeds = diffusionFeeds({ canvases: [{ ...canvases[0]!, end: 4 }, { ...canvases[1]!, masked: [2], end: 4 }], originals, maskableCount: 6, rowCapacity: 8 });
    const ready = await program(parameters, true);
    const { loss } = ready.run("loss", { ...cutFeeds, attentionBias: closeFrom(4, new Float32Array(LENGTH * LENGTH)) });
    const crossEntropyAt = (canvas: number, position: number) => {
      const row = plainForward(config, parameters, [...canvases[canvas]!.tokens.subarray(0, 4)])[position - 1]!;
      return Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[originals[canvas]![position]!]!;
    };
    const weighted = (crossEntropyAt(0, 1) + crossEntropyAt(0, 3)) / 0.5 + crossEntropyAt(1, 2) / 0.25;
    expect(loss![0]! / (weighted / 6)).toBeCloseTo(1, 5);
    ready.dispose();
  });
});
