import { loadBackend } from "./backend.ts";
import { nativeBackend } from "./native-backend.ts";
import { EngineError } from "./errors.ts";
import { DataType, Graph } from "./graph.ts";
import { loadSession } from "./session.ts";

/**
 * Multiplies two matrices in bf16 on the GPU. libtensorflow refuses a graph whose operations cannot be where they are
 * pinned to, so that an answer proves they ran there; the matrix is fed, since products of constants are worked out on the CPU.
 *
 * @param device another one than the GPU that this process computes on
 * @throws EngineError `BackendUnavailable` with libtensorflow's reason
 */
export async function proveGpu(device = "/device:GPU:0"): Promise<void> {
  if ((await loadBackend()) !== "native") throw new EngineError("BackendUnavailable", `${device}: expected the native backend, found none. Run \`npm run setup\`.`);
  const found = squareOn(device, Float32Array.of(1, 2, 3, 4));
  if (found.join() !== "7,10,15,22") throw new EngineError("BackendUnavailable", `${device}: expected the product 7,10,15,22, found ${found.join()}`);
}

/** The product of a 2 x 2 matrix with itself. */
function squareOn(device: string, matrix: Float32Array): number[] {
  const { binding } = nativeBackend();
  let session: number | undefined;
  const input = binding.createTensor([2, 2], DataType.float32, matrix);
  try {
    session = loadSession(binding, squareGraph(device));
    const [output] = binding.runSavedModel(session, [input], "matrix:0", "square:0");
    const values = [...binding.tensorDataSync(output!.id)];
    binding.deleteTensor(output!.id);
    return values;
  } catch (error) {
    throw new EngineError("BackendUnavailable", `${device}: expected a product in bf16, found ${(error as Error).message.split("\n")[0]!}`, {}, error);
  } finally {
    if (session !== undefined) binding.deleteSavedModel(session); // it holds a GPU's memory
    binding.deleteTensor(input);
  }
}

function squareGraph(device: string): Graph {
  const [FLOAT, BFLOAT] = [{ type: DataType.float32 }, { type: DataType.bfloat16 }];
  const graph = new Graph();
  const matrix = graph.placeholder("matrix", DataType.float32, [2, 2]);
  const rounded = graph.add("Cast", [matrix], { SrcT: FLOAT, DstT: BFLOAT, Truncate: { b: false } });
  const product = graph.add("MatMul", [rounded, rounded], { T: BFLOAT, transpose_a: { b: false }, transpose_b: { b: false } });
  graph.add("Cast", [product], { SrcT: BFLOAT, DstT: FLOAT, Truncate: { b: false } }, "square");
  graph.nodes.forEach((node, i) => {
    if (node.op !== "Placeholder") graph.nodes[i] = { ...node, device };
  });
  return graph;
}
