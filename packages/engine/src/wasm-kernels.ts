import * as tf from "@tensorflow/tfjs-core";

/** What of the wasm backend the kernels below use. */
interface WasmBackend {
  makeOutput(shape: number[], dtype: "float32" | "int32"): tf.TensorInfo;
  typedArrayFromHeap(tensor: tf.TensorInfo): Float32Array | Int32Array;
  disposeData(dataId: object): void;
}

/**
 * Starts the wasm backend with the kernels that training needs and it lacks: UnsortedSegmentSum (the gradient of
 * `gather`), and a BatchMatMul that is quick for transposed operands and batches.
 */
export async function installWasmKernels(): Promise<void> {
  await import("@tensorflow/tfjs");
  await import("@tensorflow/tfjs-backend-wasm");
  // Before setBackend, which runs the kernels' set-up.
  tf.registerKernel({ kernelName: "UnsortedSegmentSum", backendName: "wasm", kernelFunc: unsortedSegmentSum });
  const stock = tf.getKernel("BatchMatMul", "wasm");
  tf.unregisterKernel("BatchMatMul", "wasm");
  tf.registerKernel({ ...stock, kernelFunc: (call) => batchMatMul(stock.kernelFunc, call) });
  await tf.setBackend("wasm");
}

type KernelCall = Parameters<tf.KernelFunc>[0];

function unsortedSegmentSum({ inputs, attrs, backend: anyBackend }: KernelCall): tf.TensorInfo {
  const backend = anyBackend as WasmBackend;
  const { x, segmentIds } = inputs as { x: tf.TensorInfo; segmentIds: tf.TensorInfo };
  const { numSegments } = attrs as unknown as { numSegments: number };
  const out = backend.makeOutput([numSegments, ...x.shape.slice(1)], x.dtype as "float32");
  const sums = backend.typedArrayFromHeap(out).fill(0);
  const values = backend.typedArrayFromHeap(x);
  const ids = backend.typedArrayFromHeap(segmentIds);
  const width = values.length / ids.length;
  ids.forEach((id, row) => {
    if (id < 0) return;
    for (let column = 0; column < width; column++) sums[id * width + column]! += values[row * width + column]!;
  });
  return out;
}

/** XNNPACK serves only single products of operands as they lie; everything else is brought into that form. */
function batchMatMul(stock: tf.KernelFunc, call: KernelCall): tf.TensorInfo {
  const backend = call.backend as WasmBackend;
  const { a, b } = call.inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
  const { transposeA, transposeB } = call.attrs as unknown as { transposeA: boolean; transposeB: boolean };
  const batch = product(a.shape.slice(0, -2));
  if (batch !== product(b.shape.slice(0, -2))) return stock(call) as tf.TensorInfo;
  const left = transposeA ? transposed(backend, a, batch) : a;
  const right = transposeB ? transposed(backend, b, batch) : b;
  const [m, k] = left.shape.slice(-2) as [number, number];
  const n = right.shape.at(-1)!;
  const out = backend.makeOutput([...a.shape.slice(0, -2), m, n], "float32");
  for (let i = 0; i < batch; i++) {
    // XNNPACK caches packed operands by data id, so each product gets operands of its own.
    const slices = [sliceOf(backend, left, i, [1, m, k]), sliceOf(backend, right, i, [1, k, n])] as const;
    const part = stock({ inputs: { a: slices[0], b: slices[1] }, backend, attrs: { transposeA: false, transposeB: false } }) as tf.TensorInfo;
    backend.typedArrayFromHeap(out).set(backend.typedArrayFromHeap(part), i * m * n);
    for (const { dataId } of [part, ...slices]) backend.disposeData(dataId);
  }
  if (left !== a) backend.disposeData(left.dataId);
  if (right !== b) backend.disposeData(right.dataId);
  return out;
}

function sliceOf(backend: WasmBackend, tensor: tf.TensorInfo, index: number, shape: number[]): tf.TensorInfo {
  const slice = backend.makeOutput(shape, "float32");
  const size = product(shape);
  backend.typedArrayFromHeap(slice).set(backend.typedArrayFromHeap(tensor).subarray(index * size, (index + 1) * size));
  return slice;
}

/** Swaps the last two axes. */
function transposed(backend: WasmBackend, tensor: tf.TensorInfo, batch: number): tf.TensorInfo {
  const [rows, columns] = tensor.shape.slice(-2) as [number, number];
  const out = backend.makeOutput([batch, columns, rows], "float32");
  const from = backend.typedArrayFromHeap(tensor);
  const to = backend.typedArrayFromHeap(out);
  for (let start = 0; start < from.length; start += rows * columns) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) to[start + column * rows + row] = from[start + row * columns + column]!;
    }
  }
  return out;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
