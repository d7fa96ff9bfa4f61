// Trains and checks products on the backend that the environment names; prints what came out as JSON.
import * as tf from "@tensorflow/tfjs-core";
import { backendInfo, createProgram, resolveDtype } from "../src/index.ts";
import { gated, started, step } from "./gated-program.ts";

const info = await backendInfo();
const program = started(await createProgram(gated));
const tensorsBefore = tf.memory().numTensors;
const losses = Array.from({ length: 5 }, (_, i) => step(program, i + 1).loss);
const tensorsLeft = tf.memory().numTensors - tensorsBefore;
const scale = [...program.readVariables().get("scale")!.data];
program.dispose();

const values = (shape: number[]) => tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i + shape.length)), shape);
/** Shapes of both operands and which are transposed: single, batched, broadcast. */
const cases: [number[], number[], boolean, boolean][] = [
  [[3, 4], [4, 5], false, false],
  [[4, 3], [4, 5], true, false],
  [[3, 4], [5, 4], false, true],
  [[4, 3], [5, 4], true, true],
  [[2, 3, 4], [2, 4, 5], false, false],
  [[2, 2, 4, 3], [2, 2, 5, 4], true, true],
  [[1, 3, 4], [2, 4, 5], false, false],
];
const backend = tf.backend() as unknown as { numDataIds(): number };
const dataBefore = backend.numDataIds();
const products = cases.map(([a, b, transposeA, transposeB]) =>
  tf.tidy(() => {
    const product = tf.matMul(values(a), values(b), transposeA, transposeB);
    return { shape: product.shape, values: [...product.dataSync()] };
  }),
);
const dataLeft = backend.numDataIds() - dataBefore;
const segments = tf.unsortedSegmentSum(tf.tensor2d([[1, 2], [10, 20], [100, 200], [1000, 2000]]), tf.tensor1d([2, 0, 2, -1], "int32"), 4);
const bf16 = await createProgram({ ...gated, dtype: "bf16" }).then(
  (made) => made.dispose(),
  (error: { code: string; message: string }) => ({ code: error.code, message: error.message }),
);
process.stdout.write(`${JSON.stringify({ info, losses, tensorsLeft, scale, products, dataLeft, segments: [...segments.dataSync()], auto: resolveDtype("auto"), bf16 })}\n`);
