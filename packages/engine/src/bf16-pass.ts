import { DataType, Graph, type Node } from "./graph.ts";

/**
 * Rounds the operands of every matrix product to bfloat16 and widens its result again; weights, softmax, norms,
 * loss and optimizer stay fp32. An operand used by several products is rounded once.
 */
export function roundMatrixProducts(graph: Graph): Graph {
  const rounded = new Graph();
  const roundedName = new Map<string, string>();
  const cast = (input: string, from: number, to: number, name: string) =>
    rounded.add("Cast", [input], { SrcT: { type: from }, DstT: { type: to }, Truncate: { b: false } }, name);
  const round = (input: string): string => {
    const known = roundedName.get(input);
    if (known !== undefined) return known;
    const name = cast(input, DataType.float32, DataType.bfloat16, `${input.replace(":", "_")}/bfloat16`);
    roundedName.set(input, name);
    return name;
  };
  for (const node of graph.nodes) {
    if (ROUNDING_KERNELS.includes(node.op)) {
      rounded.add(node.op, node.input, { ...node.attr, rounded: { i: 1 } }, node.name);
      continue;
    }
    if (!isMatrixProduct(node)) {
      rounded.add(node.op, node.input, { ...node.attr }, node.name);
      continue;
    }
    const attr = { ...node.attr, T: { type: DataType.bfloat16 } };
    const product = rounded.add(node.op, node.input.map(round), attr, `${node.name}/product`);
    cast(product, DataType.bfloat16, DataType.float32, node.name);
  }
  return rounded;
}

/** Operations of this project that multiply matrices within, and round the operands there. */
const ROUNDING_KERNELS: readonly string[] = ["DiffucoderAttention", "DiffucoderAttentionGradient"];

function isMatrixProduct(node: Node): boolean {
  return ["MatMul", "BatchMatMul", "BatchMatMulV2"].includes(node.op);
}
