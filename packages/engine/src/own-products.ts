import { DataType, Graph, type Node } from "./graph.ts";

/** This project's own matrix product (native/matrix-product.cc). */
export const OWN_PRODUCT = "DiffucoderMatrixProduct";

export function isMatrixProduct({ op }: Node): boolean {
  return ["MatMul", "BatchMatMul", "BatchMatMulV2"].includes(op);
}

/**
 * Puts this project's own operation in the place of libtensorflow's matrix products, so that one pool of threads does all work of a
 * step and sums do not depend on their number.
 */
export function withOwnProducts(graph: Graph): Graph {
  const own = new Graph();
  for (const node of graph.nodes) {
    const { name, op, input, attr } = node;
    const isSet = (...names: string[]) => ({ i: Number(names.some((each) => attr[each] !== undefined && "b" in attr[each] && attr[each].b)) });
    const isReal = attr.T !== undefined && "type" in attr.T && attr.T.type === DataType.float32;
    if (isMatrixProduct(node) && isReal) own.add(OWN_PRODUCT, input, { transpose_a: isSet("transpose_a", "adj_x"), transpose_b: isSet("transpose_b", "adj_y") }, name);
    else own.add(op, input, { ...attr }, name);
  }
  return own;
}

/** Operations of this project that can add one more tensor to their first output. */
const ADDING: readonly string[] = [OWN_PRODUCT, "DiffucoderRmsNormGradient"];

/**
 * Lets operations of this project add what their first output is only added to: the residual sums, forward and backward, each without
 * a pass over memory. The bits stay the same.
 */
export function foldSums(graph: Graph, shapes: Graph["shapes"]): Graph {
  const placeOf = new Map(graph.nodes.map(({ name }, place) => [name, place]));
  const readers = Map.groupBy(graph.nodes.flatMap(({ input }) => input), (input) => input.replace("^", ""));
  const addendOf = new Map<string, string>();
  const sumOf = new Map<string, string>();
  for (const { name, op, input } of graph.nodes) {
    if (!["Add", "AddV2"].includes(op) || input.length !== 2) continue;
    const size = shapes.get(name)?.join();
    const pairs = [[input[0]!, input[1]!], [input[1]!, input[0]!]] as const;
    const pair = pairs.find(([result, addend]) => {
      const [place, addendPlace] = [placeOf.get(result), placeOf.get(addend.split(":")[0]!)];
      if (place === undefined || addendPlace === undefined || addendPlace >= place) return false; // what was recorded before does not depend on it
      const isPlain = [result, addend].every((each) => shapes.get(each)?.join() === size) && size !== undefined;
      return isPlain && ADDING.includes(graph.nodes[place]!.op) && readers.get(result)!.length === 1;
    });
    if (pair === undefined) continue;
    addendOf.set(pair[0], pair[1]);
    sumOf.set(name, pair[0]);
  }
  const renamed = (input: string) => (input.startsWith("^") ? `^${sumOf.get(input.slice(1)) ?? input.slice(1)}` : (sumOf.get(input) ?? input));
  const folded = new Graph();
  for (const { name, op, input, attr } of graph.nodes) {
    if (sumOf.has(name)) continue;
    const addend = addendOf.get(name);
    const data = input.filter((each) => !each.startsWith("^"));
    const order = input.filter((each) => each.startsWith("^"));
    const inputs = [...data, ...(addend === undefined ? [] : [addend]), ...order].map(renamed);
    folded.add(op, inputs, { ...attr, ...(addend === undefined ? {} : { N: { i: 1 } }) }, name);
  }
  return folded;
}
