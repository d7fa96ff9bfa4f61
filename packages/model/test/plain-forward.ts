// The Qwen2 layout once more, in plain arrays and double precision, written from its description and not from `forward`.
import type { NamedTensor } from "@diffucoder/formats";
import { headDimOf, type ModelConfig } from "../src/config.ts";

type Vector = number[];

/** Logits of every position of one canvas. `bias[i][j]` is added to the score of query i and key j. */
export function plainForward(config: ModelConfig, parameters: ReadonlyMap<string, NamedTensor>, tokens: readonly number[], bias?: readonly (readonly number[])[]): Vector[] {
  const vector = (name: string): Vector => [...parameters.get(name)!.data];
  const matrix = (name: string): Vector[] => {
    const { shape, data } = parameters.get(name)!;
    return Array.from({ length: shape[0]! }, (_, row) => [...data.subarray(row * shape[1]!, (row + 1) * shape[1]!)]);
  };
  const embedding = matrix("model.embed_tokens.weight");
  let hidden = tokens.map((token) => embedding[token]!);
  for (let layer = 0; layer < config.layers; layer++) {
    const name = (rest: string) => `model.layers.${layer}.${rest}`;
    const normed = hidden.map((row) => rmsNorm(row, vector(name("input_layernorm.weight")), config.normEpsilon));
    const project = (which: string) => normed.map((row) => plus(times(matrix(name(`self_attn.${which}_proj.weight`)), row), vector(name(`self_attn.${which}_proj.bias`))));
    const [q, k, v] = [project("q"), project("k"), project("v")];
    const width = headDimOf(config);
    const headOf = (row: Vector, head: number) => row.slice(head * width, (head + 1) * width);
    const attended = tokens.map((_, query) =>
      Array.from({ length: config.heads }, (__, head) => {
        const shared = Math.floor(head / (config.heads / config.kvHeads));
        const turned = rotate(headOf(q[query]!, head), query, config.ropeTheta);
        const scores = tokens.map((___, key) => dot(turned, rotate(headOf(k[key]!, shared), key, config.ropeTheta)) / Math.sqrt(width) + (bias?.[query]![key] ?? 0));
        const weights = softmax(scores);
        return weights.reduce<Vector>((sum, weight, key) => plus(sum, headOf(v[key]!, shared).map((value) => weight * value)), new Array<number>(width).fill(0));
      }).flat(),
    );
    hidden = hidden.map((row, i) => plus(row, times(matrix(name("self_attn.o_proj.weight")), attended[i]!)));
    hidden = hidden.map((row) => {
      const input = rmsNorm(row, vector(name("post_attention_layernorm.weight")), config.normEpsilon);
      const gate = times(matrix(name("mlp.gate_proj.weight")), input);
      const up = times(matrix(name("mlp.up_proj.weight")), input);
      return plus(row, times(matrix(name("mlp.down_proj.weight")), gate.map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!)));
    });
  }
  const head = config.tied ? embedding : matrix("lm_head.weight");
  return hidden.map((row) => times(head, rmsNorm(row, vector("model.norm.weight"), config.normEpsilon)));
}

const dot = (a: Vector, b: Vector): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const plus = (a: Vector, b: Vector): Vector => a.map((value, i) => value + b[i]!);
const times = (rows: Vector[], column: Vector): Vector => rows.map((row) => dot(row, column));

function rmsNorm(row: Vector, scale: Vector, epsilon: number): Vector {
  const root = Math.sqrt(dot(row, row) / row.length + epsilon);
  return row.map((value, i) => (value / root) * scale[i]!);
}

/** Turns the pair (i, i + half) by position / theta^(2 i / width). */
function rotate(head: Vector, position: number, theta: number): Vector {
  const half = head.length / 2;
  const turned = [...head];
  for (let i = 0; i < half; i++) {
    const angle = position / theta ** ((2 * i) / head.length);
    turned[i] = head[i]! * Math.cos(angle) - head[i + half]! * Math.sin(angle);
    turned[i + half] = head[i + half]! * Math.cos(angle) + head[i]! * Math.sin(angle);
  }
  return turned;
}

function softmax(scores: Vector): Vector {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
