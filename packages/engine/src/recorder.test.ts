import util from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { loadBackend } from "./backend.ts";
import { nativeBackend, type NativeBackend, type OpAttribute } from "./native-backend.ts";
import { EagerProgram } from "./eager-program.ts";
import { EngineError } from "./errors.ts";
import { NativeProgram } from "./native-program.ts";
import type { GraphSpec, ProgramSpec } from "./program.ts";

const drawAtRandom = Math.random;

beforeAll(async () => {
  expect(await loadBackend(), "these tests need libtensorflow: npm run setup").toBe("native");
});

/** A program with one graph over inputs x [2, 3] and i [2], and a variable w [3]. */
const around = (build: GraphSpec["build"]): ProgramSpec => ({
  variables: { w: [3] },
  dtype: "fp32",
  graphs: { g: { inputs: { x: { dtype: "float32", shape: [2, 3] }, i: { dtype: "int32", shape: [2] } }, build } },
});

const feeds = { x: Float32Array.of(1, -2, 3, 4, 5, -6), i: Int32Array.of(1, 0) };

function refusalOf(build: GraphSpec["build"]): EngineError {
  try {
    new NativeProgram(around(build)).dispose();
  } catch (error) {
    if (error instanceof EngineError) return error;
    throw error;
  }
  throw new Error("expected a refusal, found a program");
}

/** Runs an operation by its TensorFlow name. */
const execute = (op: string, attributes: OpAttribute[], inputs: tf.Tensor[]): tf.Tensor =>
  (nativeBackend() as NativeBackend & { executeSingleOutput(op: string, attributes: OpAttribute[], inputs: tf.Tensor[]): tf.Tensor }).executeSingleOutput(op, attributes, inputs);

describe("recording refuses", () => {
  it.each<[string, GraphSpec["build"]]>([
    ["an input", ({ x }) => ({ y: tf.mul(x!, x!.dataSync()[0]!) })],
    ["a variable", ({ x }, { w }) => ({ y: tf.mul(x!, w!.arraySync() as number[]) })],
    ["an intermediate value", ({ x }) => ({ y: tf.mul(x!, tf.sum(x!).dataSync()[0]!) })],
    [
      "an input within a function whose name resembles a gather",
      ({ x }) => {
        const gatherRows = () => x!.dataSync()[0]!;
        return { y: tf.mul(x!, gatherRows()) };
      },
    ],
  ])("host reads of %s", (_, build) => {
    const refusal = refusalOf(build);
    expect(refusal).toMatchObject({ name: "EngineError", code: "HostReadWhileRecording" });
    expect(refusal.message).toMatch(/^recording: expected tensors to stay on the device, found a host read of .+\. Its value would be frozen; feed it as an input\.$/);
  });

  it("host reads, naming the node", () => {
    expect(refusalOf(({ x }) => ({ y: tf.mul(x!, x!.dataSync()[0]!) })).details).toEqual({ node: "g/input/x" });
    expect(refusalOf((_, { w }) => ({ y: tf.mul(w!, w!.dataSync()[0]!) })).details).toEqual({ node: "variable/w/read" });
    expect(refusalOf(({ x }) => ({ y: tf.mul(x!, tf.sum(x!).dataSync()[0]!) })).message).toContain("found a host read of Sum_");
  });

  it.each<[string, GraphSpec["build"]]>([
    ["Math.random", ({ x }) => ({ y: tf.mul(x!, Math.random()) })],
    ["tf.randomUniform", ({ x }) => ({ y: tf.add(x!, tf.randomUniform([2, 3])) })],
    ["tf.randomNormal", ({ x }) => ({ y: tf.add(x!, tf.randomNormal([2, 3])) })],
    ["tf.multinomial", ({ x }) => ({ y: tf.multinomial(x as tf.Tensor2D, 1) })],
    ["tf.dropout", ({ x }) => ({ y: tf.dropout(x!, 0.5) })],
  ])("draws from %s, naming it", (name, build) => {
    const op = name.replace("tf.", "");
    expect(refusalOf(build)).toMatchObject({
      code: "RandomnessWhileRecording",
      message: `recording: expected a pure function, found a random draw by ${op}. Its value would be frozen; feed random values as inputs.`,
      details: { op },
    });
  });

  it("tensors from outside, whether or not they have been used before", () => {
    const fresh = tf.tensor1d([1, 2, 3]);
    const used = tf.tensor1d([1, 2, 3]);
    tf.dispose(tf.add(used, 1));
    const variable = tf.tidy(() => tf.variable(tf.tensor1d([1, 2, 3])));
    for (const [outside, op] of [[fresh, "an operation"], [used, "Mul"], [variable, "an operation"]] as const) {
      expect(refusalOf(({ x }) => ({ y: tf.mul(x!, outside) }))).toMatchObject({
        code: "UntrackedTensor",
        message: `recording: expected the operands of ${op} to be inputs, variables or made while recording, found a tensor from outside. Create constants inside \`build\`.`,
        details: { op },
      });
    }
    expect(refusalOf(() => ({ y: used })).message).toContain("the operands of an output");
    expect(refusalOf(({ x }) => ({ y: tf.mul(x!, used.dataSync()[0]!) })).message).toContain("the operands of a host read");
    tf.dispose([fresh, used, variable]);
  });

  it("attributes of a kind that no kernel has", () => {
    for (const [attribute, found] of [
      [{ name: "shape", type: 5, value: [2] }, "a list of type 5"],
      [{ name: "T", type: 9, value: 1 }, "type 9"],
    ] as const) {
      expect(refusalOf(({ x }) => ({ y: execute("Identity", [attribute], [x!]) }))).toMatchObject({
        code: "UnsupportedAttribute",
        message: `recording: expected a known kind of attribute on Identity.${attribute.name}, found ${found}`,
        details: { op: "Identity", name: attribute.name },
      });
    }
  });

  it("and leaves everything as it was", () => {
    const backend = nativeBackend() as NativeBackend & { getNumOfTFTensors(): number };
    const { binding, write } = backend;
    const counts = () => [tf.memory().numTensors, backend.getNumOfTFTensors()];
    const before = counts();
    refusalOf(({ x }) => ({ y: tf.mul(x!, tf.mul(x!, 2).dataSync()[0]!) }));
    refusalOf(({ x }) => ({ y: tf.mul(x!, Math.random()) }));
    expect(backend.binding).toBe(binding);
    expect(backend.write).toBe(write);
    expect(Math.random).toBe(drawAtRandom);
    expect(counts()).toEqual(before);
    // Values made from here on are nobody's recording.
    const outside = tf.tensor1d([1, 2, 3]);
    expect(refusalOf(({ x }) => ({ y: tf.mul(x!, outside) })).code).toBe("UntrackedTensor");
    outside.dispose();
  });
});

describe("a replayed graph", () => {
  it.each<[string, GraphSpec["build"]]>([
    ["gathers by fed indices", ({ x, i }) => ({ y: tf.gather(x!, i as tf.Tensor1D) })],
    ["has constants", ({ x }) => ({ y: tf.add(tf.mul(x!, tf.scalar(2)), tf.tensor2d([[1, 2, 3]])) })],
    ["has constants larger than those that are shared", ({ x }) => ({ y: tf.matMul(x as tf.Tensor2D, tf.fill([3, 700], 0.5)) })],
    ["keeps a constant as it was when it was used", ({ x }) => {
      const factors = Float32Array.of(2, 2, 2);
      const y = tf.mul(x!, factors);
      factors.fill(9);
      return { y };
    }],
    ["takes one of several outputs", ({ x }) => ({ y: tf.split(x!, 3, 1)[2]!, z: tf.split(x!, 3, 1)[0]! })],
    ["states types that are inferred elsewhere", ({ x, i }) => ({ y: tf.expandDims(x!, 1), z: tf.expandDims(i!, 0) })],
    ["has string, integer, list, float and truth attributes", ({ x }) => ({ y: tf.maxPool(tf.leakyRelu(tf.reshape(x!, [1, 2, 3, 1]), 0.25) as tf.Tensor4D, [2, 2], [1, 2], "same"), z: tf.mean(x!, 0, true) })],
    ["selects and compares", ({ x }) => ({ y: tf.where(tf.greater(x!, 0), x!, tf.zerosLike(x!)), z: tf.logicalAnd(tf.greater(x!, 0), tf.less(x!, 4)) })],
    ["returns inputs and variables as they are", ({ x, i }, { w }) => ({ x: x!, i: i!, w: w! })],
    ["returns one tensor under two names", ({ x }) => {
      const y = tf.mul(x!, 3);
      return { y, z: y };
    }],
  ])("%s as the eager one does", (_, build) => {
    const [native, eager] = [new NativeProgram(around(build)), new EagerProgram(around(build))];
    const values = new Map([["w", { shape: [3], data: Float32Array.of(7, 8, 9) }]]);
    for (const program of [native, eager]) program.writeVariables(values);
    const expected = eager.run("g", feeds);
    const actual = native.run("g", feeds);
    expect(Object.keys(actual)).toEqual(Object.keys(expected));
    for (const [name, output] of Object.entries(expected)) expect([...actual[name]!]).toEqual([...output]);
    native.dispose();
    eager.dispose();
  });

  it("is recorded once: `build` is never called again", () => {
    let calls = 0;
    const program = new NativeProgram(around(({ x }) => ({ y: tf.mul(x!, ++calls) })));
    for (let run = 0; run < 3; run++) expect(program.run("g", feeds).y![0]).toBe(1);
    expect(calls).toBe(1);
    program.dispose();
  });
});

it("holds large results in one memory while recording, leaves no tensor behind and replays their values", () => {
  const [size, times] = [2 ** 22, 40]; // 16 MB each
  const backend = nativeBackend() as NativeBackend & { getNumOfTFTensors(): number };
  const before = [tf.memory().numTensors, backend.getNumOfTFTensors()];
  let grown = 0;
  const program = new NativeProgram(
    around(({ x }) => {
      const start = process.memoryUsage().rss;
      let y: tf.Tensor = tf.fill([size], 1);
      for (let i = 0; i < times; i++) y = tf.add(i % 2 === 0 ? tf.reshape(y, [size / 4, 4]) : tf.reshape(y, [size]), tf.gather(tf.reshape(x!, [6]), 0));
      grown = process.memoryUsage().rss - start;
      return { y: tf.slice(tf.reshape(y, [size]), [size - 2], [2]) };
    }),
  );
  expect(grown / 2 ** 20).toBeLessThan(200); // of 640
  expect(program.run("g", { ...feeds, x: Float32Array.of(3, 0, 0, 0, 0, 0) }).y).toEqual(Float32Array.of(1 + 3 * times, 1 + 3 * times));
  program.dispose();
  expect([tf.memory().numTensors, backend.getNumOfTFTensors()]).toEqual(before);
});

describe("the addon", () => {
  it("finds the helpers that it calls, which Node has removed or will", () => {
    const { isNullOrUndefined, isArray } = util as unknown as Record<string, (value: unknown) => boolean>;
    expect([null, undefined, 0].map((value) => isNullOrUndefined!(value))).toEqual([true, true, false]);
    expect(isArray).toBe(Array.isArray);
  });

  it("still numbers attributes and types as the recorder does", () => {
    const binding = nativeBackend().binding as unknown as Record<string, number>;
    const { TF_ATTR_STRING, TF_ATTR_INT, TF_ATTR_FLOAT, TF_ATTR_BOOL, TF_ATTR_TYPE, TF_FLOAT, TF_INT32, TF_BOOL } = binding;
    expect({ TF_ATTR_STRING, TF_ATTR_INT, TF_ATTR_FLOAT, TF_ATTR_BOOL, TF_ATTR_TYPE }).toEqual({ TF_ATTR_STRING: 0, TF_ATTR_INT: 1, TF_ATTR_FLOAT: 2, TF_ATTR_BOOL: 3, TF_ATTR_TYPE: 4 });
    expect({ TF_FLOAT, TF_INT32, TF_BOOL }).toEqual({ TF_FLOAT: 1, TF_INT32: 3, TF_BOOL: 10 });
  });
});
