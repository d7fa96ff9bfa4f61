import { DataType, Graph, type Attribute, type Node } from "./graph.ts";

/**
 * Rounds the operands of every matrix product to bfloat16 and widens its result again; weights, softmax, norms,
 * loss and optimizer stay fp32. An operand used by several products is rounded once, and this project's own operations round
 * and widen as they write and read.
 */
export const roundMatrixProducts = (graph: Graph): Graph => foldCasts(castOperands(graph));

function castOperands(graph: Graph): Graph {
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

/**
 * Arguments of this project's operations that can be bfloat16 in memory, by their place: they compute in fp32 all the same, so
 * that the bits are those of a cast apart.
 */
export const NARROW: Readonly<Record<string, { readonly inputs: readonly (string | undefined)[]; readonly outputs: readonly (string | undefined)[] }>> = {
  DiffucoderRmsNorm: { inputs: [], outputs: ["y"] },
  DiffucoderRmsNormGradient: { inputs: [undefined, undefined, undefined, "dy"], outputs: [] },
  DiffucoderSwiGlu: { inputs: ["gate_up"], outputs: ["y"] },
  DiffucoderSwiGluGradient: { inputs: ["gate_up", "dy"], outputs: ["d_gate_up"] },
  DiffucoderAttention: { inputs: ["projected"], outputs: [] },
  DiffucoderAttentionGradient: { inputs: ["projected", ...Array.from({ length: 6 }, () => undefined), "d_mixed"], outputs: ["d_projected"] },
  DiffucoderCrossEntropy: { inputs: ["logits"], outputs: [] },
  DiffucoderCrossEntropyGradient: { inputs: ["logits"], outputs: ["d_logits"] },
};

/** Operations above read what a cast would widen, and write what is only used rounded. */
export function foldCasts(graph: Graph): Graph {
  const casts = new Map(graph.nodes.filter(({ op }) => op === "Cast").map((node) => [node.name, node]));
  const users = Map.groupBy(graph.nodes.flatMap((node) => node.input.map((input) => ({ input, node }))), ({ input }) => input);
  const rounds = ({ op, attr }: Node) => op === "Cast" && typeOf(attr.DstT) === DataType.bfloat16 && typeOf(attr.SrcT) === DataType.float32;
  const narrow = { type: DataType.bfloat16 };
  const folded = new Graph();
  const replaced = new Map<string, string>();
  for (const node of graph.nodes) {
    if (replaced.has(node.name)) continue;
    const attr = { ...node.attr };
    const { inputs, outputs } = NARROW[node.op] ?? { inputs: [], outputs: [] };
    const input = node.input.map((name, place) => {
      const cast = casts.get(name);
      if (inputs[place] === undefined || cast === undefined || typeOf(cast.attr.SrcT) !== DataType.bfloat16) return replaced.get(name) ?? name;
      attr[`${inputs[place]}_type`] = narrow;
      return cast.input[0]!;
    });
    for (const [place, output] of outputs.entries()) {
      const name = place === 0 ? node.name : `${node.name}:${place}`;
      const readers = users.get(name)?.map((user) => user.node) ?? [];
      if (output === undefined || readers.length === 0 || !readers.every(rounds)) continue;
      attr[`${output}_type`] = narrow;
      for (const cast of readers) replaced.set(cast.name, name);
    }
    folded.add(node.op, input, attr, node.name);
  }
  return folded;
}

const typeOf = (attribute: Attribute | undefined): number | undefined => (attribute !== undefined && "type" in attribute ? attribute.type : undefined);

/** Operations of this project that multiply matrices within, and round the operands there. */
const ROUNDING_KERNELS: readonly string[] = ["DiffucoderAttention", "DiffucoderAttentionGradient"];

function isMatrixProduct(node: Node): boolean {
  return ["MatMul", "BatchMatMul", "BatchMatMulV2"].includes(node.op);
}
