import { describe, expect, it } from "vitest";
import { tinyConfig } from "../test/tiny-model.ts";
import { architectureSchema, type ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { checkParameters, decays, initialParameters, joinedParameters, parameterCount, parameterShapes, trainingFlopsPerToken, trainingMemoryBytes } from "./parameters.ts";

const known = (architecture: Record<string, unknown>, vocabSize: number): ModelConfig => ({
  ...architectureSchema.parse(architecture),
  vocabSize,
  maxPositions: 131072,
  maskId: 151_666,
  padId: 151_643,
});
const seven = known({ hiddenSize: 3584, intermediateSize: 18944, layers: 28, heads: 28, kvHeads: 4, tied: false }, 152_064);

describe("parameters", () => {
  it("have the names and shapes of the Qwen2 layout", () => {
    const { "model.embed_tokens.weight": embedding, "model.norm.weight": norm, ...layers } = parameterShapes(tinyConfig());
    expect([embedding, norm]).toEqual([[11, 16], [16]]);
    const layer = {
      "input_layernorm.weight": [16],
      "self_attn.q_proj.weight": [16, 16],
      "self_attn.q_proj.bias": [16],
      "self_attn.k_proj.weight": [8, 16],
      "self_attn.k_proj.bias": [8],
      "self_attn.v_proj.weight": [8, 16],
      "self_attn.v_proj.bias": [8],
      "self_attn.o_proj.weight": [16, 16],
      "post_attention_layernorm.weight": [16],
      "mlp.gate_proj.weight": [24, 16],
      "mlp.up_proj.weight": [24, 16],
      "mlp.down_proj.weight": [16, 24],
    };
    expect(layers).toEqual(Object.fromEntries([0, 1].flatMap((i) => Object.entries(layer).map(([name, shape]) => [`model.layers.${i}.${name}`, shape]))));
    const untied = parameterShapes(tinyConfig({ tied: false, headDim: 6 }));
    expect(untied["lm_head.weight"]).toEqual([11, 16]);
    expect([untied["model.layers.0.self_attn.q_proj.weight"], untied["model.layers.0.self_attn.k_proj.bias"], untied["model.layers.0.self_attn.o_proj.weight"]]).toEqual([[24, 16], [12], [16, 24]]);
  });

  it("of published models number what their cards say", () => {
    expect(parameterCount(seven)).toBe(7_615_616_512); // Qwen2.5-Coder-7B and DiffuCoder-7B
    expect(parameterCount(known({ hiddenSize: 896, intermediateSize: 4864, layers: 24, heads: 14, kvHeads: 2 }, 151_936))).toBe(494_032_768); // Qwen2.5-0.5B
    expect(parameterCount(known({ hiddenSize: 1536, intermediateSize: 8960, layers: 28, heads: 12, kvHeads: 2 }, 151_936))).toBe(1_543_714_304); // Qwen2.5-1.5B
  });

  it("of one input are joined, matrices of projections and biases, those of each layer once", () => {
    const shapes = parameterShapes(tinyConfig());
    const joins = joinedParameters(tinyConfig());
    expect(joins["model.layers.0.self_attn.qkv_proj.weight"]).toEqual(["q", "k", "v"].map((each) => `model.layers.0.self_attn.${each}_proj.weight`));
    const members = Object.values(joins).flat();
    expect(new Set(members).size).toBe(members.length);
    expect(members.toSorted()).toEqual(Object.keys(shapes).filter((name) => /[qkv]_proj|gate_proj|up_proj/.test(name)).toSorted());
    expect(Object.keys(joins)).toHaveLength(3 * tinyConfig().layers);
  });

  it("decay when they are matrices", () => {
    const doesDecay = decays(tinyConfig({ tied: false }));
    expect(["model.embed_tokens.weight", "lm_head.weight", "model.layers.1.mlp.up_proj.weight"].map(doesDecay)).toEqual([true, true, true]);
    expect(["model.norm.weight", "model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.bias"].map(doesDecay)).toEqual([false, false, false]);
  });

  it("begin as the seed says: matrices with the stated spread, biases 0, norms 1", () => {
    const config = tinyConfig({ tied: false, initializerRange: 0.5 });
    const first = initialParameters(config, 3);
    checkParameters(config, first);
    expect(initialParameters(config, 3)).toEqual(first);
    for (const [name, { shape, data }] of first) {
      const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
      const spread = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0) / data.length);
      if (shape.length === 1) expect(new Set(data)).toEqual(new Set([name.endsWith(".bias") ? 0 : 1]));
      else expect([Math.abs(mean) < 0.15, Math.abs(spread - 0.5) < 0.1, name]).toEqual([true, true, name]);
      if (shape.length === 2) expect(initialParameters(config, 4).get(name)!.data).not.toEqual(data);
    }
    // Each has a stream of its own: an untied head does not move the rest, and equal shapes hold different values.
    expect(initialParameters(tinyConfig({ initializerRange: 0.5 }), 3).get("model.embed_tokens.weight")).toEqual(first.get("model.embed_tokens.weight"));
    expect(first.get("model.layers.0.mlp.gate_proj.weight")!.data).not.toEqual(first.get("model.layers.0.mlp.up_proj.weight")!.data);
  });

  it("are refused when one is missing, unknown or of another shape", () => {
    const config = tinyConfig();
    const parameters = initialParameters(config, 3);
    const norm = parameters.get("model.norm.weight")!;
    const refusal = (change: (copy: typeof parameters) => unknown) => () => {
      const copy = new Map(parameters);
      change(copy);
      checkParameters(config, copy);
    };
    expect(refusal((copy) => copy.set("x", norm))).toThrow(expect.objectContaining({ code: "WrongParameters", retryable: false, message: "tensor x: expected none of that name, found one" }));
    expect(refusal((copy) => copy.set("model.norm.weight", { ...norm, shape: [8] }))).toThrow("tensor model.norm.weight: expected [16], found [8]");
    expect(refusal((copy) => copy.set("model.norm.weight", { ...norm, shape: [1, 16] }))).toThrow("expected [16], found [1,16]");
    expect(refusal((copy) => copy.delete("model.norm.weight"))).toThrow("tensor model.norm.weight: expected [16], found nothing");
    expect(refusal((copy) => copy.delete("model.norm.weight"))).toThrow(ModelError);
  });
});

describe("costs", () => {
  it("of training are 6 operations a weight that multiplies, and 12 a layer for each query channel and key", () => {
    // The embedding is looked up, not multiplied, unless it is the head as well.
    expect(trainingFlopsPerToken(seven, 0)).toBe(6 * (7_615_616_512 - 152_064 * 3584));
    // Attention on a canvas of 4096: 12 * 28 * 3584 * 4096, about 12 % on top.
    expect(trainingFlopsPerToken(seven, 4096) - trainingFlopsPerToken(seven, 0)).toBe(4_932_501_504);
    expect(trainingFlopsPerToken(tinyConfig(), 8)).toBe(6 * parameterCount(tinyConfig()) + 12 * 2 * 16 * 8);
  });

  it("in memory are six copies of the weights, kept values and logits, beside the process", () => {
    // Per token and layer 5 * 16 + 8 * 4 + 3 * 24 = 184 floats, 1.1 times: 2 layers and 32 tokens make 12,953.6. Of 32 tokens 18
    // reach the head: logits and half of their gradient are 1.5 * 11 * 18 = 297. Weights 4,160 (counted below), six times.
    const embedding = 11 * 16;
    const layer = 16 + (16 * 16 + 16) + 2 * (8 * 16 + 8) + 16 * 16 + 16 + 3 * 24 * 16;
    expect(embedding + 2 * layer + 16).toBe(4160);
    expect(trainingMemoryBytes(tinyConfig(), 32)).toBeCloseTo(550e6 + 4 * (6 * 4160 + 12_953.6 + 297), 3);
  });

  it("in memory are within a tenth of what steps and stages were measured to need", () => {
    const small = known({ hiddenSize: 128, intermediateSize: 320, layers: 4, heads: 4, kvHeads: 2 }, 1024);
    const medium = known({ hiddenSize: 384, intermediateSize: 1024, layers: 6, heads: 6, kvHeads: 2 }, 8192);
    // Largest resident memory in bytes after five steps of tools/bench/train/own-step.ts, canvases of 64, 512 and 256 tokens.
    const measured: [ModelConfig, number, number][] = [
      [small, 16 * 64, 562e6],
      [small, 64 * 64, 690e6],
      [small, 4 * 512, 606e6],
      [medium, 4 * 256, 1000e6],
      [medium, 16 * 256, 1526e6],
      [{ ...medium, layers: 2 }, 16 * 256, 1035e6],
      [{ ...medium, vocabSize: 1024 }, 16 * 256, 1378e6],
      [known({ hiddenSize: 256, intermediateSize: 768, layers: 8, heads: 4, kvHeads: 2 }, 4096), 32 * 128, 1353e6],
      [small, 144 * 56, 867e6],
      // The quickstart's pretraining and instruction tuning with 12 steps each, as their records tell (Intel Xeon with AMX).
      [small, 16 * 64, 612e6],
      [small, 32 * 56, 683e6],
    ];
    for (const [config, tokens, bytes] of measured) expect(Math.abs(trainingMemoryBytes(config, tokens) / bytes - 1)).toBeLessThan(0.1);
  });
});
