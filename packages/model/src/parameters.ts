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

/** Resident bytes of a training run: weights, gradients and both moments in fp32, and the activations of one batch. */
export function trainingMemoryBytes(config: ModelConfig, tokensPerStep: number, canvasLength: number): number {
  const activations = activationsPerToken(config, canvasLength) * tokensPerStep * config.layers;
  const logits = 3 * config.vocabSize * tokensPerStep;
  return 4 * (4 * parameterCount(config) + activations + logits);
}

/** Floats kept for the backward pass, for each token and layer. */
function activationsPerToken(config: Architecture, canvasLength: number): number {
  return 10 * config.hiddenSize + 4 * config.intermediateSize + 2 * config.heads * canvasLength;
}
