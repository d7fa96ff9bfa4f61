import type { Dtype } from "@diffucoder/formats";
import { describeMismatch } from "@diffucoder/lineage";
import { z } from "zod";
import { ModelError } from "./errors.ts";

/** Shape of the transformer: the part of a recipe that a person chooses. */
export const architectureSchema = z
  .strictObject({
    hiddenSize: z.int().positive(),
    intermediateSize: z.int().positive(),
    layers: z.int().positive(),
    heads: z.int().positive(),
    kvHeads: z.int().positive(),
    headDim: z.int().positive().multipleOf(2).optional().describe("hiddenSize / heads unless given"),
    tied: z.boolean().default(true).describe("the head shares the embedding matrix"),
    ropeTheta: z.number().positive().default(10_000),
    normEpsilon: z.number().positive().default(1e-6),
    initializerRange: z.number().positive().default(0.02).describe("standard deviation of new matrices; narrow models want about 1 / sqrt(hiddenSize)"),
  })
  .refine(({ heads, kvHeads }) => heads % kvHeads === 0, { message: "heads: expected a multiple of kvHeads", path: ["heads"] })
  .refine(({ hiddenSize, heads, headDim }) => headDim !== undefined || hiddenSize % (2 * heads) === 0, {
    message: "hiddenSize: expected a multiple of 2 * heads",
    path: ["hiddenSize"],
  });

export type Architecture = z.infer<typeof architectureSchema>;

export interface ModelConfig extends Architecture {
  readonly vocabSize: number;
  /** Longest canvas the model has been trained on. */
  readonly maxPositions: number;
  readonly maskId: number;
  readonly padId: number;
}

export const headDimOf = (config: Architecture): number => config.headDim ?? config.hiddenSize / config.heads;

/** Dream's classes come from a model's own repository; Qwen2's are part of `transformers`, but attend causally unless told otherwise. */
export type HuggingFaceLayout = "dream" | "qwen2";

export interface HuggingFaceOptions {
  readonly layout?: HuggingFaceLayout;
  /** Of the weights on disk. */
  readonly dtype?: Dtype;
}

/** `config.json` of a model whose weights have the names of Qwen2 and Dream, which are the same. */
export function toHuggingFace(config: ModelConfig, { layout = "dream", dtype = "F32" }: HuggingFaceOptions = {}): Record<string, unknown> {
  return {
    ...LAYOUTS[layout],
    hidden_act: "silu",
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: headDimOf(config),
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.normEpsilon,
    initializer_range: config.initializerRange,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.tied,
    vocab_size: config.vocabSize,
    mask_token_id: config.maskId,
    pad_token_id: config.padId,
    attention_dropout: 0,
    use_cache: false,
    torch_dtype: TORCH_DTYPES[dtype],
  };
}

const LAYOUTS = {
  dream: { architectures: ["DreamModel"], model_type: "Dream" },
  qwen2: { architectures: ["Qwen2ForCausalLM"], model_type: "qwen2", sliding_window: null, use_sliding_window: false },
};

const TORCH_DTYPES: Readonly<Record<Dtype, string>> = { F32: "float32", BF16: "bfloat16", F16: "float16" };

const wholeRotation = z.literal(1).optional();
const ropeParameters = z.object({ rope_theta: z.number().positive().optional(), rope_type: z.literal("default"), partial_rotary_factor: wholeRotation });
const tokenId = z.int().nonnegative().nullish();

/** Beyond any model; names of parameters are made for each layer before one is looked for. */
const MOST_LAYERS = 10_000;

/** Keys that change what a forward pass computes must be as this model has them. */
const huggingFaceConfig = z
  .object({
    model_type: z.enum(["Dream", "qwen2"]),
    hidden_act: z.literal("silu").optional(),
    hidden_size: z.int().positive(),
    intermediate_size: z.int().positive(),
    num_hidden_layers: z.int().positive().max(MOST_LAYERS),
    num_attention_heads: z.int().positive(),
    num_key_value_heads: z.int().positive(),
    head_dim: z.int().positive().nullish(),
    max_position_embeddings: z.int().positive(),
    rms_norm_eps: z.number().positive(),
    initializer_range: z.number().nonnegative().default(0.02),
    rope_theta: z.number().positive().optional(),
    rope_parameters: ropeParameters.optional().describe("where transformers 5 keeps rope_theta"),
    rope_scaling: z.null().optional(),
    partial_rotary_factor: wholeRotation,
    quantization_config: z.null().optional(),
    use_sliding_window: z.literal(false).optional(),
    use_mrope: z.literal(false).optional(),
    layer_types: z.array(z.literal("full_attention")).optional(),
    tie_word_embeddings: z.boolean(),
    vocab_size: z.int().positive(),
    mask_token_id: tokenId,
    pad_token_id: tokenId,
  })
  .refine((config) => config.num_attention_heads % config.num_key_value_heads === 0, { message: "expected a divisor of num_attention_heads", path: ["num_key_value_heads"] })
  .refine((config) => (config.head_dim ?? config.hidden_size / config.num_attention_heads) % 2 === 0, { message: "expected an even head width", path: ["head_dim"] })
  .refine(({ rope_theta: theta, rope_parameters: { rope_theta: other = theta } = {} }) => (theta ?? other) === other, { message: "expected the number in rope_parameters, where both are given", path: ["rope_theta"] })
  .refine((config) => (config.rope_theta ?? config.rope_parameters?.rope_theta) !== undefined, { message: "expected a number, here or in rope_parameters", path: ["rope_theta"] });

/**
 * @param tokens ids to use where the file has none, as Qwen2's has no mask
 * @throws ModelError `WrongConfig` naming each key that is wrong
 */
export function fromHuggingFace(json: unknown, tokens: { readonly maskId?: number; readonly padId?: number } = {}): ModelConfig {
  const parsed = huggingFaceConfig.safeParse(json);
  if (!parsed.success) throw new ModelError("WrongConfig", `config.json: ${describeMismatch(parsed.error, json)}\nUse a model of Qwen2's or Dream's layout, with the config.json that came with it.`);
  const config = parsed.data;
  const idOf = (key: "mask_token_id" | "pad_token_id", given: number | undefined): number => {
    const id = config[key] ?? given;
    if (id === undefined) throw new ModelError("WrongConfig", `config.json: expected an id, found nothing\n  → at ${key}`);
    if (id < config.vocab_size) return id;
    throw new ModelError("WrongConfig", `config.json: expected more than ${key} ${id}, found ${config.vocab_size}\n  → at vocab_size`);
  };
  return {
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads,
    headDim: config.head_dim ?? config.hidden_size / config.num_attention_heads,
    tied: config.tie_word_embeddings,
    ropeTheta: (config.rope_theta ?? config.rope_parameters?.rope_theta)!,
    normEpsilon: config.rms_norm_eps,
    initializerRange: config.initializer_range,
    vocabSize: config.vocab_size,
    maxPositions: config.max_position_embeddings,
    maskId: idOf("mask_token_id", tokens.maskId),
    padId: idOf("pad_token_id", tokens.padId),
  };
}
