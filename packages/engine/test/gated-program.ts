// Axes: N rows, D width.
import * as tf from "@tensorflow/tfjs-core";
import type { Feed, NamedTensor, Program, ProgramSpec } from "../src/program.ts";

export const ROWS = 6;
export const WIDTH = 8;

/** A gated layer: its sigmoid product is what the runtime fuses differently with and without a gradient. */
export const gated: ProgramSpec = {
  variables: { gate: [WIDTH, WIDTH], up: [WIDTH, WIDTH], scale: [WIDTH] },
  dtype: "fp32",
  optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, decays: (name) => name !== "scale", clipNorm: 0.5 },
  graphs: {
    fit: {
      train: true,
      inputs: { x: { dtype: "float32", shape: [ROWS, WIDTH] }, row: { dtype: "int32", shape: [ROWS] } },
      build: ({ x, row }, { gate, up, scale }) => {
        const gateOut = tf.matMul(x as tf.Tensor2D, gate as tf.Tensor2D); // [N, D]
        const hidden = tf.mul(tf.mul(gateOut, tf.sigmoid(gateOut)), tf.matMul(x as tf.Tensor2D, up as tf.Tensor2D)); // [N, D]
        const picked = tf.gather(tf.mul(hidden, scale!), row as tf.Tensor1D); // [N, D]
        const values = tf.sum(picked, 1); // [N]
        return { loss: tf.mean(tf.square(tf.sub(values, 1))) as tf.Scalar, values };
      },
    },
  },
};

export const feeds = (): { readonly x: Float32Array; readonly row: Int32Array } & Record<string, Feed> => ({
  x: Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.sin(i)),
  row: Int32Array.from({ length: ROWS }, (_, i) => (i * 5) % ROWS),
});

/** Some values for each variable of a program. */
export function initialValues({ variables }: ProgramSpec): Map<string, NamedTensor> {
  return new Map(
    Object.entries(variables).map(([name, shape], v) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return [name, { shape, data: Float32Array.from({ length }, (_, i) => Math.cos(i + v) / 2) }];
    }),
  );
}

export function started(program: Program): Program {
  program.writeVariables(initialValues(gated));
  return program;
}

export const step = (program: Program, number: number) => program.trainStep("fit", feeds(), { learningRate: 0.01, step: number });
