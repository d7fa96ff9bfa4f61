// Axes: N rows, D width.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { WIDTH, feeds, gated, initialValues, started, step } from "../test/gated-program.ts";
import { loadBackend } from "./backend.ts";
import { nativeBackend } from "./native-backend.ts";
import { createProgram } from "./create-program.ts";
import { EagerProgram } from "./eager-program.ts";
import { NativeProgram } from "./native-program.ts";
import type { AdamWSpec, KeptTensor, NamedTensor, Program, ProgramSpec } from "./program.ts";

beforeAll(async () => {
  expect(await loadBackend(), "these tests need libtensorflow: npm run setup").toBe("native");
});

const nativeTensorCount = () => (nativeBackend() as unknown as { getNumOfTFTensors(): number }).getNumOfTFTensors();

function bytesOf(program: Program): Buffer {
  const { first, second } = program.readOptimizer();
  const tensors = [program.readVariables(), first, second].flatMap((slot) => [...slot.values()]);
  return Buffer.concat(tensors.map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)));
}

/** A loss whose gradient is `x` itself, wherever the variables stand: sum of x times w, and of y times b. */
function linear(optimizer: Partial<AdamWSpec> = {}, size = 2): ProgramSpec {
  return {
    variables: { w: [size], b: [1] },
    dtype: "fp32",
    optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-12, weightDecay: 0, decays: () => true, clipNorm: undefined, ...optimizer },
    graphs: {
      fit: {
        train: true,
        inputs: { x: { dtype: "float32", shape: [size] }, y: { dtype: "float32", shape: [] } },
        build: ({ x, y }, { w, b }) => ({
          loss: tf.add(tf.sum(tf.mul(x!, w!)), tf.sum(tf.mul(y!, b!))) as tf.Scalar,
          doubled: tf.mul(w!, 2),
          largest: tf.argMax(w!),
        }),
      },
      double: { inputs: {}, build: (_, { w }) => ({ doubled: tf.mul(w!, 2) }) },
    },
  };
}

const values = (w: number[] | Float32Array, b: number): Map<string, NamedTensor> =>
  new Map([
    ["w", { shape: [w.length], data: Float32Array.from(w) }],
    ["b", { shape: [1], data: Float32Array.of(b) }],
  ]);

const linearFeeds = (x: number[], y: number) => ({ x: Float32Array.from(x), y: Float32Array.of(y) });

const kinds = [
  ["native", (spec: ProgramSpec): Program => new NativeProgram(spec)],
  ["eager", (spec: ProgramSpec): Program => new EagerProgram(spec)],
] as const;

describe.each(kinds)("%s program", (_, create) => {
  it("begins with zeros", () => {
    const program = create(linear());
    for (const slot of [program.readVariables(), program.readOptimizer().first, program.readOptimizer().second]) expect(slot).toEqual(values([0, 0], 0));
    program.dispose();
  });

  it("has joined variables seen as one, under the join's name alone, and read and written apart", () => {
    const joins = { stacked: ["w", "v"] };
    const seen: string[][] = [];
    const rows = { w: [2, 3], b: [2], v: [1, 3] };
    const spec = (joined: boolean): ProgramSpec => ({
      variables: rows,
      ...(joined ? { joins } : {}),
      dtype: "fp32",
      optimizer: { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.5, decays: (name) => name !== "b", clipNorm: 0.1, accumulates: true },
      graphs: {
        fit: {
          train: true,
          inputs: { x: { dtype: "float32", shape: [1, 3] } },
          build: ({ x }, variables) => {
            seen.push(Object.keys(variables));
            const stacked = (variables.stacked ?? tf.concat([variables.w!, variables.v!])) as tf.Tensor2D; // [3, 3]
            const product = tf.matMul(x as tf.Tensor2D, stacked, false, true); // [1, 3]
            return { loss: tf.add(tf.sum(tf.square(product)), tf.sum(tf.square(variables.b!))) as tf.Scalar, product };
          },
        },
      },
    });
    const start = new Map(Object.entries(rows).map(([name, shape], i) => [name, { shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, k) => Math.sin(7 * i + k)) }]));
    const trained = [true, false].map((joined) => {
      const program = create(spec(joined));
      program.writeVariables(start);
      expect(program.readVariables()).toEqual(start);
      const results = [1, 2].map((step) => {
        program.accumulate("fit", { x: Float32Array.of(0.5, -step, 2) });
        return program.trainStep("fit", { x: Float32Array.of(1, 2, step) }, { learningRate: 0.1, step });
      });
      const { first, second } = program.readOptimizer();
      program.writeOptimizer({ first, second });
      const after = { results, variables: program.readVariables(), optimizer: program.readOptimizer() };
      program.dispose();
      return after;
    });
    expect(trained[0]).toEqual(trained[1]);
    expect([...trained[0]!.variables.keys()]).toEqual(["w", "b", "v"]);
    expect(trained[0]!.variables).not.toEqual(start);
    expect(new Set(seen.map((names) => names.join()))).toEqual(new Set(["stacked,b", "w,b,v"]));
  });

  it("keeps outputs where they are, gives rows of them, and is fed them again", () => {
    const [before, nativeBefore] = [tf.memory().numTensors, nativeTensorCount()];
    const spec: ProgramSpec = {
      variables: { w: [2] },
      dtype: "fp32",
      graphs: {
        spread: { inputs: { x: { dtype: "float32", shape: [3] } }, build: ({ x }, { w }) => ({ product: tf.outerProduct(x as tf.Tensor1D, w as tf.Tensor1D), ids: tf.range(0, 3, 1, "int32"), sum: tf.sum(x!) }) },
        add: { inputs: { product: { dtype: "float32", shape: [3, 2] }, ids: { dtype: "int32", shape: [3] } }, build: ({ product, ids }) => ({ total: tf.add(product!, tf.cast(tf.expandDims(ids!, 1), "float32")) }) },
      },
    };
    const program = create(spec);
    const counts = () => [tf.memory().numTensors, nativeTensorCount()];
    program.writeVariables(new Map([["w", { shape: [2], data: Float32Array.of(1, 10) }]]));
    const idle = counts();
    const { fetched, kept } = program.runKeeping("spread", { x: Float32Array.of(1, 2, 3) }, { fetch: ["sum"], keep: ["product", "ids"] });
    expect(fetched).toEqual({ sum: Float32Array.of(6) });
    const { product, ids } = kept as Record<"product" | "ids", KeptTensor>;
    expect([product.shape, product.dtype, ids.shape, ids.dtype]).toEqual([[3, 2], "float32", [3], "int32"]);
    expect(product.rows(Int32Array.of(2, 0, 2))).toEqual(Float32Array.of(3, 30, 1, 10, 3, 30));
    expect(ids.rows(Int32Array.of(1))).toEqual(Int32Array.of(1));
    program.writeVariables(new Map([["w", { shape: [2], data: Float32Array.of(7, 7) }]]));
    for (let times = 0; times < 2; times++) expect(program.runKeeping("add", { product, ids }, { fetch: ["total"], keep: [] }).fetched.total).toEqual(Float32Array.of(1, 10, 3, 21, 5, 32));
    expect(() => program.runKeeping("add", { product: ids, ids }, { fetch: [], keep: [] })).toThrow("expected Float32Array of 6 ([3,2]), found Int32Array of 3");
    for (const tensor of [product, ids, ids]) tensor.dispose();
    expect(counts()).toEqual(idle);
    for (const use of [() => product.rows(Int32Array.of(0)), () => program.runKeeping("add", { product, ids }, { fetch: ["total"], keep: [] })]) {
      expect(use).toThrow(expect.objectContaining({ code: "Disposed" }));
    }
    program.dispose();
    expect([tf.memory().numTensors, nativeTensorCount()]).toEqual([before, nativeBefore]);
  });

  it("takes AdamW steps as worked by hand", () => {
    const program = create(linear({ weightDecay: 0.1, decays: (name) => name === "w" }));
    program.writeVariables(values([1, -2], 3));
    // Step 1, gradients (1, -1) and 1: m = 0.1 g, v = 0.01 g^2; the corrections 1 - 0.9 and 1 - 0.99 undo both, so that
    // the step is 0.5 sign(g). w decays by 0.5 * 0.1 of itself, b does not: (0.95 - 0.5, -1.9 + 0.5), 3 - 0.5.
    const first = program.trainStep("fit", linearFeeds([1, -1], 1), { learningRate: 0.5, step: 1 });
    expect(first.loss).toBe(6); // 1 * 1 + -1 * -2 + 1 * 3
    expect(first.gradientNorm).toBeCloseTo(Math.sqrt(3), 6);
    [0.1, -0.1].forEach((moment, i) => expect(program.readOptimizer().first.get("w")!.data[i]).toBeCloseTo(moment, 6));
    expect(program.readOptimizer().second.get("b")!.data[0]).toBeCloseTo(0.01, 7);
    const afterOne = program.readVariables();
    [0.45, -1.4].forEach((value, i) => expect(afterOne.get("w")!.data[i]).toBeCloseTo(value, 6));
    expect(afterOne.get("b")!.data[0]).toBeCloseTo(2.5, 6);
    // Step 2, gradient 2 for b: m = 0.9 * 0.1 + 0.1 * 2 = 0.29, v = 0.99 * 0.01 + 0.01 * 4 = 0.0499. Corrected,
    // m / 0.19 = 1.526316 and v / 0.0199 = 2.507538, so the step is 0.5 * 1.526316 / 1.583521 = 0.481938.
    program.trainStep("fit", linearFeeds([1, -1], 2), { learningRate: 0.5, step: 2 });
    expect(program.readVariables().get("b")!.data[0]).toBeCloseTo(2.5 - 0.481938, 5);
    program.dispose();
  });

  it("adds epsilon before the second moment is corrected", () => {
    // m = 0.1, sqrt(v) = 0.1: 0.1 / (0.1 + 0.3) times sqrt(0.01) / 0.1 = 0.25. Added afterwards it would be 1 / 1.3.
    const program = create(linear({ epsilon: 0.3 }));
    program.trainStep("fit", linearFeeds([1, 1], 1), { learningRate: 1, step: 1 });
    expect(program.readVariables().get("b")!.data[0]).toBeCloseTo(-0.25, 6);
    program.dispose();
  });

  it("clips by the global norm, tells the norm before, and leaves smaller gradients alone", () => {
    const program = create(linear({ clipNorm: 6.5 }));
    // |(3, 4, 12)| = 13 is twice the limit: every gradient is halved.
    const { gradientNorm } = program.trainStep("fit", linearFeeds([3, 4], 12), { learningRate: 0.1, step: 1 });
    expect(gradientNorm).toBeCloseTo(13, 5);
    const clipped = program.readOptimizer().first;
    [0.15, 0.2].forEach((value, i) => expect(clipped.get("w")!.data[i]).toBeCloseTo(value, 6));
    expect(clipped.get("b")!.data[0]).toBeCloseTo(0.6, 6);
    program.writeOptimizer({ first: values([0, 0], 0), second: values([0, 0], 0) });
    program.trainStep("fit", linearFeeds([3, 4], 0), { learningRate: 0.1, step: 1 });
    expect(program.readOptimizer().first.get("w")!.data[1]).toBeCloseTo(0.4, 6);
    program.dispose();
  });

  it("takes one step with the mean of accumulated gradients, bit for bit the step of that mean, and then begins anew", () => {
    const accumulating = create(linear({ accumulates: true, clipNorm: 3, weightDecay: 0.1 }));
    const plain = create(linear({ clipNorm: 3, weightDecay: 0.1 }));
    for (const program of [accumulating, plain]) program.writeVariables(values([1, -2], 0.5));
    // Means of thirds and quarters that fp32 holds: (1, 5, 2) + ... over 4, then a single gradient, then two over 2.
    const rounds = [
      { gradients: [[1, -3, 2], [5, 1, 0], [2, 2, 4], [0, 4, 2]], mean: [2, 1, 2] },
      { gradients: [[1, 1, 1]], mean: [1, 1, 1] },
      { gradients: [[4, 0, -8], [0, 2, 2]], mean: [2, 1, -3] },
    ];
    rounds.forEach(({ gradients, mean }, i) => {
      const at = { learningRate: 0.1, step: i + 1 };
      for (const [x, y, z] of gradients.slice(0, -1)) {
        const before = bytesOf(accumulating);
        const [w0, w1] = accumulating.readVariables().get("w")!.data;
        const { loss, outputs } = accumulating.accumulate("fit", linearFeeds([x!, y!], z!));
        expect(loss).toBeCloseTo(x! * w0! + y! * w1! + z! * accumulating.readVariables().get("b")!.data[0]!, 4);
        expect(outputs.doubled).toEqual(Float32Array.of(2 * w0!, 2 * w1!));
        expect(bytesOf(accumulating)).toEqual(before);
      }
      const last = gradients.at(-1)!;
      const found = accumulating.trainStep("fit", linearFeeds([last[0]!, last[1]!], last[2]!), at);
      const expected = plain.trainStep("fit", linearFeeds([mean[0]!, mean[1]!], mean[2]!), at);
      expect(found.gradientNorm).toBe(expected.gradientNorm);
      expect(bytesOf(accumulating)).toEqual(bytesOf(plain));
    });
    const refusal = expect.objectContaining({ code: "NotATrainGraph", message: "program: expected an optimizer with `accumulates: true`, found none" }) as Error;
    expect(() => plain.accumulate("fit", linearFeeds([1, 1], 1))).toThrow(refusal);
    expect(() => accumulating.accumulate("double", {})).toThrow(expect.objectContaining({ code: "NotATrainGraph" }) as Error);
    for (const program of [accumulating, plain]) program.dispose();
    expect(() => accumulating.accumulate("fit", linearFeeds([1, 1], 1))).toThrow(expect.objectContaining({ code: "Disposed" }) as Error);
  });

  it("gives outputs as they were before the update, also where the gradient does not depend on a variable", () => {
    const size = 100_000; // large enough for reads and updates to overlap when nothing orders them
    const program = create(linear({ weightDecay: 0.5 }, size));
    const ones = new Float32Array(size).fill(1);
    for (let i = 0; i < 40; i++) {
      program.writeVariables(values(ones, 1));
      program.writeOptimizer({ first: values(new Float32Array(size), 0), second: values(new Float32Array(size), 0) });
      const { loss, outputs } = program.trainStep("fit", { x: ones, y: Float32Array.of(1) }, { learningRate: 0.1, step: 1 });
      expect(loss).toBe(size + 1);
      expect(outputs.doubled![0]).toBe(2);
      // 1 - 0.1 * 0.5 - 0.1: the decay, too, is of the value before.
      expect(program.readVariables().get("w")!.data[0]).toBeCloseTo(0.85, 6);
    }
    program.dispose();
  });

  it("gives what is asked for in the type it has, and changes nothing in a run", () => {
    const program = create(linear());
    program.writeVariables(values([1, 5], 2));
    const before = bytesOf(program);
    const given = linearFeeds([1, 1], 1);
    expect(program.run("fit", given)).toEqual({ loss: Float32Array.of(8), doubled: Float32Array.of(2, 10), largest: Int32Array.of(1) });
    expect(program.run("fit", given, ["largest"])).toEqual({ largest: Int32Array.of(1) });
    expect(program.run("double", {})).toEqual({ doubled: Float32Array.of(2, 10) });
    expect(given).toEqual(linearFeeds([1, 1], 1));
    expect(bytesOf(program).equals(before)).toBe(true);
    program.dispose();
  });

  it("keeps no hold on the caller's memory, however it lies", () => {
    // A buffer aligned to 64 bytes could be adopted as it is; one of these offsets is.
    const program = create(linear({}, 64));
    const memory = new ArrayBuffer(64 * 4 + 64);
    for (let offset = 0; offset < 64; offset += 4) {
      const w = new Float32Array(memory, offset, 64).fill(1);
      const given = () => new Map(values([], 1)).set("w", { shape: [64], data: w });
      program.writeVariables(given());
      program.writeOptimizer({ first: given(), second: given() });
      w.fill(7);
      expect(program.readVariables().get("w")!.data[0]).toBe(1);
      expect(program.readOptimizer().first.get("w")!.data[0]).toBe(1);
      w.fill(1);
      program.writeVariables(given());
      program.trainStep("fit", { x: new Float32Array(64).fill(1), y: Float32Array.of(1) }, { learningRate: 0.1, step: 1 });
      expect(w.every((value) => value === 1)).toBe(true);
    }
    const read = program.readVariables().get("w")!.data;
    const copy = read.slice();
    program.trainStep("fit", { x: new Float32Array(64).fill(1), y: Float32Array.of(1) }, { learningRate: 0.1, step: 2 });
    expect(read).toEqual(copy);
    program.dispose();
  });

  it("gives outputs that are the caller's own", () => {
    const program = create({ variables: { w: [2] }, dtype: "fp32", graphs: { same: { inputs: { x: { dtype: "float32", shape: [2] } }, build: ({ x }, { w }) => ({ x: x!, w: w! }) } } });
    const x = Float32Array.of(1, 2);
    const outputs = program.run("same", { x });
    outputs.x!.fill(7);
    outputs.w!.fill(7);
    expect(x).toEqual(Float32Array.of(1, 2));
    expect(program.run("same", { x }).w).toEqual(new Float32Array(2));
    program.dispose();
  });

  it("gives back the moments it was given", () => {
    const program = create(linear());
    const moments = { first: values([1, 2], 3), second: values([4, 5], 6) };
    program.writeOptimizer(moments);
    expect(program.readOptimizer()).toEqual(moments);
    expect(program.readVariables()).toEqual(values([0, 0], 0));
    program.dispose();
  });

  it("refuses feeds that do not fit, naming graph and input", () => {
    const program = create(gated);
    const { x, row } = feeds();
    const given: [Parameters<Program["run"]>[1], string][] = [
      [{ x }, "graph fit, input row: expected Int32Array of 6 ([6]), found nothing"],
      [{ x, row: Float32Array.from(row) }, "graph fit, input row: expected Int32Array of 6 ([6]), found Float32Array of 6"],
      [{ x: Int32Array.from(x), row }, "graph fit, input x: expected Float32Array of 48 ([6,8]), found Int32Array of 48"],
      [{ x: x.slice(1), row }, "graph fit, input x: expected Float32Array of 48 ([6,8]), found Float32Array of 47"],
      [{ x, row, z: x }, "graph fit: expected inputs x, row, found z"],
    ];
    for (const [wrong, message] of given) {
      expect(() => program.run("fit", wrong)).toThrow(expect.objectContaining({ name: "EngineError", code: "WrongFeed", message }));
      expect(() => program.trainStep("fit", wrong, { learningRate: 1, step: 1 })).toThrow(message);
    }
    expect(() => program.run("fix", { x, row })).toThrow(expect.objectContaining({ code: "UnknownGraph", message: "graph: expected one of fit, found fix" }));
    expect(() => program.run("fit", { x, row }, ["loss", "value"])).toThrow(
      expect.objectContaining({ code: "UnknownGraph", message: "graph fit: expected outputs loss, values, found value" }),
    );
    program.dispose();
  });

  it("refuses variables that do not fit, naming them", () => {
    const program = create(linear());
    const wrong: [Map<string, NamedTensor>, string][] = [
      [new Map([...values([1, 2], 3)].slice(1)), "variable w: expected [2], found nothing"],
      [new Map(values([1, 2], 3)).set("w", { shape: [1, 2], data: new Float32Array(2) }), "variable w: expected [2], found [1,2] with 2 values"],
      [new Map(values([1, 2], 3)).set("w", { shape: [2], data: new Float32Array(3) }), "variable w: expected [2], found [2] with 3 values"],
      [new Map(values([1, 2], 3)).set("c", { shape: [1], data: new Float32Array(1) }), "variable c: expected a variable of the program, found none of that name"],
    ];
    for (const [given, message] of wrong) {
      expect(() => program.writeVariables(given)).toThrow(expect.objectContaining({ code: "WrongVariable", message }));
      expect(() => program.writeOptimizer({ first: given, second: values([1, 2], 3) })).toThrow(message);
      expect(() => program.writeOptimizer({ first: values([1, 2], 3), second: given })).toThrow(message);
    }
    program.dispose();
  });

  it("trains only what can be trained", () => {
    const { optimizer: _, ...withoutOptimizer } = linear();
    const notTrainable = "expected `train: true` and an optimizer in the program, found neither or one";
    const program = create(linear());
    expect(() => program.trainStep("double", {}, { learningRate: 1, step: 1 })).toThrow(expect.objectContaining({ code: "NotATrainGraph", message: `graph double: ${notTrainable}` }));
    expect(() => program.run("double", {}, undefined, { likeTraining: true })).toThrow(`graph double: ${notTrainable}`);
    program.dispose();
    const untrained = create(withoutOptimizer);
    untrained.writeVariables(values([1, 2], 3));
    expect(untrained.run("fit", linearFeeds([1, 1], 1), ["loss"]).loss![0]).toBe(6);
    expect(() => untrained.trainStep("fit", linearFeeds([1, 1], 1), { learningRate: 1, step: 1 })).toThrow(`graph fit: ${notTrainable}`);
    for (const useMoments of [() => untrained.readOptimizer(), () => untrained.writeOptimizer({ first: new Map(), second: new Map() })]) {
      expect(useMoments).toThrow(expect.objectContaining({ code: "NotATrainGraph", message: "program: expected an optimizer, found none" }));
    }
    untrained.dispose();
  });

  it("refuses a train graph without a scalar loss, or with a loss that leaves a variable out", () => {
    const trainOn = (build: ProgramSpec["graphs"][string]["build"]) => () => {
      const program = create({ ...linear(), graphs: { fit: { train: true, inputs: {}, build } } });
      program.trainStep("fit", {}, { learningRate: 1, step: 1 });
    };
    expect(trainOn((_, { w }) => ({ total: tf.sum(w!) }))).toThrow(expect.objectContaining({ code: "NotATrainGraph", message: "graph fit: expected a scalar output loss, found none" }));
    expect(trainOn((_, { w }) => ({ loss: tf.mul(w!, 2) }))).toThrow("graph fit: expected a scalar output loss, found one of shape [2]");
    expect(trainOn((_, { w }) => ({ loss: tf.sum(w!) }))).toThrow(
      expect.objectContaining({ code: "NotATrainGraph", message: "graph fit: expected a loss that depends on every variable, found one that does not on b" }),
    );
  });

  it("answers to nothing once disposed, and may be disposed again", () => {
    const program = create(linear());
    program.dispose();
    program.dispose();
    const uses = [
      () => program.run("fit", linearFeeds([1, 1], 1)),
      () => program.trainStep("fit", linearFeeds([1, 1], 1), { learningRate: 1, step: 1 }),
      () => program.readVariables(),
      () => program.writeVariables(values([1, 1], 1)),
      () => program.readOptimizer(),
      () => program.writeOptimizer({ first: values([1, 1], 1), second: values([1, 1], 1) }),
    ];
    for (const use of uses) expect(use).toThrow(expect.objectContaining({ code: "Disposed", message: "program: expected a live program, found a disposed one" }));
  });

  it("has the gradient that finite differences give, of every variable", () => {
    const program = create({ ...gated, optimizer: { ...gated.optimizer!, clipNorm: undefined, weightDecay: 0 } });
    const start = initialValues(gated);
    for (const name of Object.keys(gated.variables)) {
      const { shape, data } = start.get(name)!;
      const direction = (i: number) => Math.sin(3 * i + 1);
      const lossAt = (distance: number) => {
        program.writeVariables(new Map(start).set(name, { shape, data: data.map((value, i) => value + distance * direction(i)) }));
        return program.run("fit", feeds(), ["loss"]).loss![0]!;
      };
      const slope = (lossAt(1e-2) - lossAt(-1e-2)) / 2e-2;
      program.writeVariables(start);
      const zeros = new Map([...start].map(([key, tensor]) => [key, { ...tensor, data: new Float32Array(tensor.data.length) }]));
      program.writeOptimizer({ first: zeros, second: zeros });
      step(program, 1);
      const gradient = program.readOptimizer().first.get(name)!.data.map((moment) => moment / (1 - 0.9));
      const along = gradient.reduce((sum, value, i) => sum + value * direction(i), 0);
      expect(Math.abs(slope)).toBeGreaterThan(0.01);
      expect(along / slope).toBeCloseTo(1, 2);
    }
    program.dispose();
  });

  it("leaves no tensor behind when it is made and disposed", () => {
    const before = [tf.memory().numTensors, nativeTensorCount()];
    create(gated).dispose();
    expect([tf.memory().numTensors, nativeTensorCount()]).toEqual(before);
  });

  it("leaves no tensor behind in use", () => {
    const program = started(create(gated));
    const [count, nativeCount] = [tf.memory().numTensors, nativeTensorCount()];
    for (let number = 1; number <= 20; number++) step(program, number);
    program.run("fit", feeds(), undefined, { likeTraining: true });
    program.writeVariables(program.readVariables());
    program.writeOptimizer(program.readOptimizer());
    expect(tf.memory().numTensors).toBe(count);
    if (program instanceof NativeProgram) expect(nativeTensorCount()).toBe(nativeCount);
    program.dispose();
  });
});

describe("native program", () => {
  it("agrees with the eager program on loss, norm and outputs for 20 steps, with and without clipping", () => {
    for (const clipNorm of [0.5, undefined]) {
      const spec = { ...gated, optimizer: { ...gated.optimizer!, clipNorm } };
      const native = started(new NativeProgram(spec));
      const eager = started(new EagerProgram(spec));
      for (let number = 1; number <= 20; number++) {
        const expected = step(eager, number);
        const actual = step(native, number);
        expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(1e-5);
        expect(Math.abs(actual.gradientNorm / expected.gradientNorm - 1)).toBeLessThan(1e-5);
        expect(actual.outputs.loss![0]).toBe(actual.loss);
      }
      const eagerly = eager.readVariables();
      for (const [name, { data }] of native.readVariables()) data.forEach((value, i) => expect(value).toBeCloseTo(eagerly.get(name)!.data[i]!, 4));
      native.dispose();
      eager.dispose();
    }
  });

  it("is what createProgram gives here", async () => {
    const program = await createProgram(linear());
    expect(program).toBeInstanceOf(NativeProgram);
    program.dispose();
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

  it("repeats to the bit", () => {
    const program = new NativeProgram(gated);
    const zeros = new Map([...initialValues(gated)].map(([name, tensor]) => [name, { ...tensor, data: new Float32Array(tensor.data.length) }]));
    const runs = Array.from({ length: 20 }, () => {
      started(program);
      program.writeOptimizer({ first: zeros, second: zeros });
      step(program, 1);
      return bytesOf(program).toString("hex");
    });
    expect(new Set(runs).size).toBe(1);
    program.dispose();
  });

  it("gives bit-equal outputs in run (like training) and in the training step", () => {
    const program = started(new NativeProgram(gated));
    const { values: alike } = program.run("fit", feeds(), ["values"], { likeTraining: true });
    const plain = program.run("fit", feeds(), ["values"]).values!;
    const { outputs } = step(program, 1);
    expect(outputs.values).toEqual(alike);
    plain.forEach((value, i) => expect(value).toBeCloseTo(alike![i]!, 5));
    program.dispose();
  });

  it("stays flat in tensors and memory over five hundred steps", () => {
    const size = 250_000; // one feed is 1 MB: a step that kept it would show
    const program = new NativeProgram(linear({}, size));
    const x = new Float32Array(size).fill(0.5);
    const steps = (count: number) => {
      for (let i = 0; i < count; i++) program.trainStep("fit", { x, y: Float32Array.of(1) }, { learningRate: 0.01, step: i + 1 });
      return process.memoryUsage().rss / 2 ** 20;
    };
    const before = steps(60);
    const tensors = [tf.memory().numTensors, nativeTensorCount()];
    expect(steps(500) - before).toBeLessThan(120); // of the 500 MB that were fed
    expect([tf.memory().numTensors, nativeTensorCount()]).toEqual(tensors);
    program.dispose();
  });

  it("gives its memory back when disposed", () => {
    const cycle = (times: number) => {
      for (let i = 0; i < times; i++) new NativeProgram(linear({}, 2_000_000)).dispose(); // 24 MB of variables and moments
      return process.memoryUsage().rss / 2 ** 20;
    };
    const before = cycle(3);
    expect(cycle(12) - before).toBeLessThan(144);
  });

  it("leaves no file behind", () => {
    const { TMPDIR } = process.env;
    const directory = mkdtempSync(join(tmpdir(), "engine-"));
    process.env.TMPDIR = directory;
    try {
      new NativeProgram(linear()).dispose();
      expect(readdirSync(directory)).toEqual([]);
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = TMPDIR;
      rmSync(directory, { recursive: true });
    }
  });

  it("frees its feeds when the computation fails, and goes on", () => {
    const program = started(new NativeProgram(gated));
    const nativeCount = nativeTensorCount();
    expect(() => program.run("fit", { ...feeds(), row: new Int32Array(6).fill(WIDTH + 1) })).toThrow("indices[0] = 9 is not in [0, 6)");
    expect(nativeTensorCount()).toBe(nativeCount);
    expect(program.run("fit", feeds()).loss![0]).toBeGreaterThan(0);
    program.dispose();
  });
});
