import { describe, expect, it } from "vitest";
import { tinyConfig } from "../test/tiny-model.ts";
import { architectureSchema, fromHuggingFace, headDimOf, toHuggingFace } from "./config.ts";
import { ModelError } from "./errors.ts";
import { parameterCount } from "./parameters.ts";

describe("architecture", () => {
  const base = { hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 4, kvHeads: 2 };

  it("fills in what is usual", () => {
    expect(architectureSchema.parse(base)).toEqual({ ...base, tied: true, ropeTheta: 10_000, normEpsilon: 1e-6, initializerRange: 0.02 });
    expect(headDimOf(architectureSchema.parse(base))).toBe(4);
    expect(headDimOf(architectureSchema.parse({ ...base, headDim: 6 }))).toBe(6);
  });

  it("refuses shapes that do not fit, and keys it does not know", () => {
    expect(() => architectureSchema.parse({ ...base, kvHeads: 3 })).toThrow("heads: expected a multiple of kvHeads");
    expect(() => architectureSchema.parse({ ...base, hiddenSize: 20 })).toThrow("hiddenSize: expected a multiple of 2 * heads");
    expect(architectureSchema.parse({ ...base, hiddenSize: 20, headDim: 6 }).headDim).toBe(6);
    expect(architectureSchema.safeParse({ ...base, headDim: 5 }).success).toBe(false);
    expect(() => architectureSchema.parse({ ...base, dropout: 1 })).toThrow("dropout");
    for (const key of Object.keys(base)) {
      for (const wrong of [0, -1, 1.5, "2"]) expect(architectureSchema.safeParse({ ...base, [key]: wrong }).success).toBe(false);
    }
  });
});

describe("config.json", () => {
  it("carries every field there and back", () => {
    for (const changes of [{}, { tied: false, headDim: 6, ropeTheta: 500, normEpsilon: 1e-5, initializerRange: 0.08 }]) {
      const config = tinyConfig(changes);
      expect(fromHuggingFace(JSON.parse(JSON.stringify(toHuggingFace(config))))).toEqual({ headDim: 4, ...config });
    }
  });

  it("is in the layout of Dream, which DiffuCoder has", () => {
    expect(toHuggingFace(tinyConfig())).toEqual({
      architectures: ["DreamModel"],
      model_type: "Dream",
      hidden_act: "silu",
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 4,
      max_position_embeddings: 8,
      rms_norm_eps: 1e-6,
      initializer_range: 0.02,
      rope_theta: 10_000,
      tie_word_embeddings: true,
      vocab_size: 11,
      mask_token_id: 9,
      pad_token_id: 10,
      attention_dropout: 0,
      use_cache: false,
      torch_dtype: "float32",
    });
  });

  it("is in the layout of Qwen2 when asked for, with the same weights", () => {
    const [dream, qwen2] = [toHuggingFace(tinyConfig()), toHuggingFace(tinyConfig(), { layout: "qwen2", dtype: "BF16" })];
    expect(qwen2).toEqual({ ...dream, architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", sliding_window: null, use_sliding_window: false, torch_dtype: "bfloat16" });
    expect(toHuggingFace(tinyConfig(), { dtype: "F16" }).torch_dtype).toBe("float16");
    expect(fromHuggingFace(qwen2)).toEqual(fromHuggingFace(dream));
  });

  it("may leave the mask to the tokenizer, and its rotation to the place where transformers 5 keeps it", () => {
    const { mask_token_id: _, rope_theta: __, ...published } = toHuggingFace(tinyConfig(), { layout: "qwen2" });
    const config = { ...published, pad_token_id: null, head_dim: null, rope_parameters: { rope_theta: 700, rope_type: "default" }, layer_types: ["full_attention"], rope_scaling: null };
    expect(fromHuggingFace(config, { maskId: 3, padId: 4 })).toEqual({ ...tinyConfig({ ropeTheta: 700 }), headDim: 4, maskId: 3, padId: 4 });
    expect(fromHuggingFace({ ...config, rope_theta: 700 }, { maskId: 3, padId: 4 }).ropeTheta).toBe(700);
    expect(fromHuggingFace({ ...config, mask_token_id: 9 }, { maskId: 3, padId: 4 }).maskId).toBe(9);
    expect(() => fromHuggingFace(config, { maskId: 11, padId: 4 })).toThrow("expected more than mask_token_id 11, found 11");
  });

  it("may come without what follows from the rest, and with what does not concern us", () => {
    const { head_dim: _, initializer_range: __, hidden_act: ___, ...published } = toHuggingFace(tinyConfig({ initializerRange: 0.5 }));
    expect(fromHuggingFace({ ...published, sliding_window: null })).toEqual({ ...tinyConfig(), headDim: 4, initializerRange: 0.02 });
  });

  /** Keys and values as they are published; what a forward pass has no use for is among them. */
  const seven = {
    attention_dropout: 0.0, bos_token_id: 151643, eos_token_id: 151643, hidden_act: "silu", hidden_size: 3584, initializer_range: 0.02, intermediate_size: 18944,
    max_window_layers: 28, num_attention_heads: 28, num_hidden_layers: 28, num_key_value_heads: 4, rms_norm_eps: 1e-6, rope_theta: 1000000.0,
    sliding_window: null, tie_word_embeddings: false, torch_dtype: "bfloat16", use_mrope: false, use_sliding_window: false, vocab_size: 152064,
  };
  const dream = { ...seven, architectures: ["DreamModel"], auto_map: { AutoConfig: "configuration_dream.DreamConfig", AutoModel: "modeling_dream.DreamModel" }, mask_token_id: 151666, max_position_embeddings: 131072, model_type: "Dream", pad_token_id: 151643, rope_scaling: null, transformers_version: "4.51.3", use_cache: false };
  const coder = { ...seven, architectures: ["Qwen2ForCausalLM"], max_position_embeddings: 32768, model_type: "qwen2", transformers_version: "4.45.1", use_cache: true };
  const small = { ...coder, hidden_size: 896, intermediate_size: 4864, max_window_layers: 24, num_attention_heads: 14, num_hidden_layers: 24, num_key_value_heads: 2, sliding_window: 32768, tie_word_embeddings: true, vocab_size: 151936 };
  it.each([
    ["DiffuCoder-7B", dream, 7_615_616_512, { maxPositions: 131_072, maskId: 151_666, padId: 151_643, headDim: 128, tied: false }],
    ["Qwen2.5-Coder-7B", coder, 7_615_616_512, { maxPositions: 32_768, maskId: 151_666, padId: 151_667, ropeTheta: 1e6, tied: false }],
    ["Qwen2.5-Coder-0.5B", small, 494_032_768, { headDim: 64, tied: true, vocabSize: 151_936 }],
  ])("of %s is read as it is published", (_, json, count, facts) => {
    const config = fromHuggingFace(json, { maskId: 151_666, padId: 151_667 });
    expect(config).toMatchObject(facts);
    expect(parameterCount(config)).toBe(count);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ hidden_size: "x" }, "at hidden_size"],
    [{ mask_token_id: undefined }, "at mask_token_id"],
    [{ tie_word_embeddings: undefined }, "at tie_word_embeddings"],
    [{ hidden_act: "gelu" }, "at hidden_act"],
    [{ num_hidden_layers: 0 }, "at num_hidden_layers"],
    [{ num_key_value_heads: 3 }, "expected a divisor of num_attention_heads, found 3\n  → at num_key_value_heads"],
    [{ head_dim: 5 }, "expected an even head width, found 5\n  → at head_dim"],
    [{ head_dim: undefined, hidden_size: 18 }, "expected an even head width"],
    [{ mask_token_id: null }, "expected an id, found nothing\n  → at mask_token_id"],
    [{ pad_token_id: null }, "expected an id, found nothing\n  → at pad_token_id"],
    [{ mask_token_id: 11 }, "expected more than mask_token_id 11, found 11\n  → at vocab_size"],
    [{ pad_token_id: 12 }, "expected more than pad_token_id 12, found 11\n  → at vocab_size"],
    [{ model_type: "llama" }, "at model_type"],
    [{ rope_theta: undefined }, "expected a number, here or in rope_parameters, found nothing\n  → at rope_theta"],
    [{ rope_parameters: { rope_theta: 1, rope_type: "yarn" } }, "at rope_parameters.rope_type"],
    [{ rope_parameters: { rope_theta: 1, rope_type: "default" } }, "expected the number in rope_parameters, where both are given, found 10000\n  → at rope_theta"],
    [{ rope_scaling: { type: "linear", factor: 2 } }, "at rope_scaling"],
    [{ use_sliding_window: true }, "found true\n  → at use_sliding_window"],
    [{ partial_rotary_factor: 0.5 }, "at partial_rotary_factor"],
    [{ rope_parameters: { rope_type: "default", partial_rotary_factor: 0.25 } }, "at rope_parameters.partial_rotary_factor"],
    [{ quantization_config: { quant_method: "gptq" } }, 'found {"quant_method":"gptq"}\n  → at quantization_config'],
    [{ num_hidden_layers: 1e9 }, "at num_hidden_layers"],
    [{ rms_norm_eps: 0 }, "at rms_norm_eps"],
    [{ initializer_range: -1 }, "at initializer_range"],
    [{ use_mrope: true }, "at use_mrope"],
    [{ layer_types: ["full_attention", "sliding_attention"] }, "at layer_types[1]"],
    [{ mask_token_id: -1 }, "at mask_token_id"],
    [{ pad_token_id: -1 }, "at pad_token_id"],
  ])("is refused with %j, naming the key", (changes, message) => {
    const read = () => fromHuggingFace({ ...toHuggingFace(tinyConfig()), ...changes });
    expect(read).toThrow(ModelError);
    expect(read).toThrow(expect.objectContaining({ code: "WrongConfig", retryable: false, message: expect.stringMatching(/^config\.json: /) as string }));
    expect(read).toThrow(message);
  });
});
