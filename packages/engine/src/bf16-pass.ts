import { DataType, Graph } from "./graph.ts";
import { isMatrixProduct, OWN_PRODUCT } from "./own-products.ts";

/**
 * Rounds the operands of every matrix product to bfloat16; weights, softmax, norms, loss and optimizer stay fp32. Operands of
 * libtensorflow's products are cast, each once, and the results widened; this project's own operations round as they read.
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
  return narrowed(rounded);
}

/**
 * Arguments of this project's operations that can be bfloat16 in memory, by their place: they compute in fp32 all the same, so
 * that the bits are those of a cast apart.
 */
export const NARROW: Readonly<Record<string, { readonly inputs: readonly (string | undefined)[]; readonly outputs: readonly (string | undefined)[] }>> = {
  [OWN_PRODUCT]: { inputs: ["a", "b"], outputs: ["product"] },
  DiffucoderRmsNorm: { inputs: [], outputs: ["y"] },
  DiffucoderRmsNormGradient: { inputs: [undefined, undefined, undefined, "dy"], outputs: [] },
  DiffucoderSwiGlu: { inputs: ["gate_up"], outputs: ["y"] },
  DiffucoderSwiGluGradient: { inputs: ["gate_up", "dy"], outputs: ["d_gate_up"] },
  DiffucoderAttention: { inputs: ["projected"], outputs: [] },
  DiffucoderAttentionGradient: { inputs: ["projected", ...Array.from({ length: 6 }, () => undefined), "d_mixed"], outputs: ["d_projected"] },
  DiffucoderCrossEntropy: { inputs: ["logits"], outputs: [] },
  DiffucoderCrossEntropyGradient: { inputs: ["logits"], outputs: ["d_logits"] },
};

/**
 * Writes in bfloat16 what all readers round anyway, which changes no bit, and results of products that all readers can read so: those
 * have no more digits than their operands to speak of, and half the memory.
 */
function narrowed(graph: Graph): Graph {
  const readers = Map.groupBy(graph.nodes.flatMap((node) => node.input.map((input, place) => ({ input, op: node.op, place }))), ({ input }) => input);
  const isNarrow = (name: string, op: string): boolean =>
    readers.get(name)?.every((reader) => NARROW[reader.op]?.inputs[reader.place] !== undefined && (reader.op === OWN_PRODUCT || op === OWN_PRODUCT)) ?? false;
  const outputs = new Set(
    graph.nodes.flatMap(({ name, op }) => NARROW[op]?.outputs.flatMap((output, place) => (output !== undefined && isNarrow(outputName(name, place), op) ? [outputName(name, place)] : [])) ?? []),
  );
  const marked = new Graph();
  for (const { name, op, input, attr } of graph.nodes) {
    const narrow = [
      ...(NARROW[op]?.inputs.filter((_, place) => outputs.has(input[place]!)) ?? []),
      ...(NARROW[op]?.outputs.filter((_, place) => outputs.has(outputName(name, place))) ?? []),
    ];
    marked.add(op, input, { ...attr, ...Object.fromEntries(narrow.map((argument) => [`${argument}_type`, { type: DataType.bfloat16 }])) }, name);
  }
  return marked;
}

const outputName = (node: string, place: number): string => (place === 0 ? node : `${node}:${place}`);

/** Operations of this project that multiply matrices within, and round the operands there. */
const ROUNDING_KERNELS: readonly string[] = [OWN_PRODUCT, "DiffucoderAttention", "DiffucoderAttentionGradient"];
