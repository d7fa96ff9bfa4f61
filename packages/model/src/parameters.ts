import type { NamedTensor } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import { headDimOf, type Architecture, type ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";

/** Shape of every parameter under its Hugging Face name. Matrices are [out, in]. */
export function parameterShapes(config: ModelConfig): Record<string, readonly number[]> {
  const { hiddenSize: hidden, intermediateSize: inner } = config;
  const query = config.heads * headDimOf(config);
  const keyValue = config.kvHeads * headDimOf(config);
  const shapes: Record<string, readonly number[]> = { "model.embed_tokens.weight": [config.vocabSize, hidden] };
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `model.layers.${layer}`;
    shapes[`${name}.input_layernorm.weight`] = [hidden];
    shapes[`${name}.self_attn.q_proj.weight`] = [query, hidden];
    shapes[`${name}.self_attn.q_proj.bias`] = [query];
    shapes[`${name}.self_attn.k_proj.weight`] = [keyValue, hidden];
    shapes[`${name}.self_attn.k_proj.bias`] = [keyValue];
    shapes[`${name}.self_attn.v_proj.weight`] = [keyValue, hidden];
    shapes[`${name}.self_attn.v_proj.bias`] = [keyValue];
    shapes[`${name}.self_attn.o_proj.weight`] = [hidden, query];
    shapes[`${name}.post_attention_layernorm.weight`] = [hidden];
    shapes[`${name}.mlp.gate_proj.weight`] = [inner, hidden];
    shapes[`${name}.mlp.up_proj.weight`] = [inner, hidden];
    shapes[`${name}.mlp.down_proj.weight`] = [hidden, inner];
  }
  shapes["model.norm.weight"] = [hidden];
  if (!config.tied) shapes["lm_head.weight"] = [config.vocabSize, hidden];
  return shapes;
}

/** Projections of one input, each kind joined to one matrix for one product, by names of their own. */
export function joinedParameters(config: ModelConfig): Record<string, readonly string[]> {
  const joins: Record<string, readonly string[]> = {};
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `model.layers.${layer}`;
    for (const kind of ["weight", "bias"]) joins[`${name}.self_attn.qkv_proj.${kind}`] = ["q", "k", "v"].map((each) => `${name}.self_attn.${each}_proj.${kind}`);
    joins[`${name}.mlp.gate_up_proj.weight`] = ["gate", "up"].map((each) => `${name}.mlp.${each}_proj.weight`);
  }
  return joins;
}

export function parameterCount(config: ModelConfig): number {
  return Object.values(parameterShapes(config)).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** Matrices decay, norms and biases do not. */
export function decays(config: ModelConfig): (name: string) => boolean {
  const shapes = parameterShapes(config);
  return (name) => shapes[name]!.length > 1;
}

/**
 * Floating-point operations of one training step per token: 6 for each weight that multiplies (forward, and twice
 * backward), and the two attention products over the whole canvas.
 *
 * @source Kaplan et al., arXiv:2001.08361, section 2.1, with bidirectional attention
 */
export function trainingFlopsPerToken(config: ModelConfig, canvasLength: number): number {
  const lookUpOnly = config.tied ? 0 : config.vocabSize * config.hiddenSize;
  const attention = 12 * config.layers * config.heads * headDimOf(config) * canvasLength;
  return 6 * (parameterCount(config) - lookUpOnly) + attention;
}

/** Normal values of standard deviation `initializerRange`, biases 0, norms 1; each parameter from a stream of its own name. */
export function initialParameters(config: ModelConfig, seed: number): Map<string, NamedTensor> {
  return new Map(
    Object.entries(parameterShapes(config)).map(([name, shape]) => {
      const draws = stream({ seed, stage: "model", purpose: `initial ${name}` });
      const length = shape.reduce((a, b) => a * b, 1);
      const value = name.endsWith("norm.weight") ? () => 1 : name.endsWith(".bias") ? () => 0 : () => config.initializerRange * draws.normal();
      return [name, { shape, data: Float32Array.from({ length }, value) }];
    }),
  );
}

/** @throws ModelError `WrongParameters` naming the tensor, what was expected and what was found */
export function checkParameters(config: ModelConfig, parameters: ReadonlyMap<string, NamedTensor>): void {
  const shapes = parameterShapes(config);
  for (const [name, shape] of Object.entries(shapes)) {
    const found = parameters.get(name)?.shape;
    if (found?.join() === shape.join()) continue;
    throw new ModelError("WrongParameters", `tensor ${name}: expected [${shape.join()}], found ${found === undefined ? "nothing" : `[${found.join()}]`}`);
  }
  for (const name of parameters.keys()) {
    if (!(name in shapes)) throw new ModelError("WrongParameters", `tensor ${name}: expected none of that name, found one`);
  }
}

/**
 * Largest resident memory of a process that trains with the native kernels, in bytes.
 *
 * Attention keeps no scores, so that what a canvas' length adds is in its tokens. Factors without a reason of their own are
 * fitted to measured steps of 7 thousand to 12.6M parameters and 16 to 8,064 tokens, which this meets within a tenth, whether a
 * process does nothing else or is that of a whole stage.
 */
export function trainingMemoryBytes(config: ModelConfig, tokensPerStep: number): number {
  const weights = PARAMETER_COPIES * parameterCount(config);
  const activations = LIVE_PER_KEPT * keptPerToken(config) * config.layers * tokensPerStep;
  const logits = LOGIT_COPIES * config.vocabSize * HIDDEN_SHARE * tokensPerStep;
  return PROCESS_BYTES + FLOAT_BYTES * (weights + activations + logits);
}

/** Floats that a layer's backward pass needs of its forward pass, for each token: five values of the stream's width (two sums, two norms' outputs, mixed values), the projections, and three of the inner width. */
function keptPerToken(config: Architecture): number {
  const projected = (config.heads + 2 * config.kvHeads) * headDimOf(config);
  return 5 * config.hiddenSize + projected + 3 * config.intermediateSize;
}

const FLOAT_BYTES = 4;
/** Node.js with libtensorflow and a recorded graph: some 500 MB, and some 600 MB in a stage, which has data and a checkpoint on its way. */
const PROCESS_BYTES = 550e6;
/** Weights, gradients, two moments; and what recording and checkpoints have of the weights. */
const PARAMETER_COPIES = 6;
/** Kept values, and gradients and operands laid out for products of one layer at a time. */
const LIVE_PER_KEPT = 1.1;
/** Logits and their gradient; not all is there when memory is fullest. */
const LOGIT_COPIES = 1.5;
/** Rows that reach the head: about half of the tokens are hidden, and graphs have room for some more. */
const HIDDEN_SHARE = 0.5625;
