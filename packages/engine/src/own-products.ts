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
