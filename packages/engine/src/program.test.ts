import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend, nativeBackend } from "./backend.ts";
import { EagerProgram } from "./eager-program.ts";
import { NativeProgram } from "./native-program.ts";
import { elementCount, type NamedTensor, type Program, type ProgramSpec } from "./program.ts";

// Axes: N rows, D width.

const ROWS = 6;
const WIDTH = 8;

/** A gated layer: its sigmoid product is what the runtime fuses differently with and without a gradient. */
const gated: ProgramSpec = {
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

const feeds = () => ({
  x: Float32Array.from({ length: ROWS * WIDTH }, (_, i) => Math.sin(i)),
  row: Int32Array.from({ length: ROWS }, (_, i) => (i * 5) % ROWS),
});

function initialValues(spec: ProgramSpec): Map<string, NamedTensor> {
  return new Map(
    Object.entries(spec.variables).map(([name, shape], v) => [
      name,
      { shape, data: Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.cos(i + v) / 2) },
    ]),
  );
}

function started(program: Program): Program {
  program.writeVariables(initialValues(gated));
  return program;
}

const step = (program: Program, number: number) => program.trainStep("fit", feeds(), { learningRate: 0.01, step: number });

function bytesOf(program: Program): Buffer {
  const { first, second } = program.readOptimizer();
  const tensors = [program.readVariables(), first, second].flatMap((slot) => [...slot.values()]);
  return Buffer.concat(tensors.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
}

beforeAll(async () => {
  expect(await loadBackend(), "these tests need libtensorflow: npm run setup").toBe("native");
});

describe("native program", () => {
  it("agrees with the eager program on loss and norm for 20 steps", () => {
    const native = started(new NativeProgram(gated));
    const eager = started(new EagerProgram(gated));
    for (let number = 1; number <= 20; number++) {
      const expected = step(eager, number);
      const actual = step(native, number);
      expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(actual.gradientNorm / expected.gradientNorm - 1)).toBeLessThan(1e-5);
    }
    native.dispose();
    eager.dispose();
  });

  it("continues to the byte in a new program from values and moments", () => {
    const whole = started(new NativeProgram(gated));
    for (let number = 1; number <= 20; number++) step(whole, number);

    const before = started(new NativeProgram(gated));
    for (let number = 1; number <= 10; number++) step(before, number);
    const after = new NativeProgram(gated);
    after.writeVariables(before.readVariables());
    after.writeOptimizer(before.readOptimizer());
    for (let number = 11; number <= 20; number++) step(after, number);

    expect(bytesOf(after).equals(bytesOf(whole))).toBe(true);
    for (const program of [whole, before, after]) program.dispose();
  });

  it("gives bit-equal outputs in run (like training) and in the training step", () => {
    const program = started(new NativeProgram(gated));
    const { values } = program.run("fit", feeds(), ["values"], { likeTraining: true });
    const plain = program.run("fit", feeds(), ["values"]).values!;
    const { outputs } = step(program, 1);
    expect(outputs.values).toEqual(values);
    plain.forEach((value, i) => expect(value).toBeCloseTo(values![i]!, 5));
    program.dispose();
  });

  it("has the gradient that finite differences give", () => {
    const unclipped = { ...gated, optimizer: { ...gated.optimizer!, clipNorm: undefined, weightDecay: 0 } };
    const program = started(new NativeProgram(unclipped));
    const values = initialValues(gated);
    const lossAt = (shift: number) => {
      const scale = values.get("scale")!;
      const data = scale.data.slice();
      data[3]! += shift;
      program.writeVariables(new Map(values).set("scale", { shape: scale.shape, data }));
      return program.run("fit", feeds(), ["loss"]).loss![0]!;
    };
    const slope = (lossAt(1e-2) - lossAt(-1e-2)) / 2e-2;
    program.writeVariables(values);
    step(program, 1);
    const gradient = program.readOptimizer().first.get("scale")!.data[3]! / (1 - 0.9);
    expect(gradient).toBeCloseTo(slope, 2);
    program.dispose();
  });

  it("leaves no tensor behind", () => {
    const program = started(new NativeProgram(gated));
    const count = tf.memory().numTensors;
    const native = (nativeBackend() as unknown as { getNumOfTFTensors(): number }).getNumOfTFTensors.bind(nativeBackend());
    const nativeCount = native();
    for (let number = 1; number <= 50; number++) step(program, number);
    expect(tf.memory().numTensors).toBe(count);
    expect(native()).toBe(nativeCount);
    program.dispose();
  });
});
