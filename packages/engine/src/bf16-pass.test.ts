import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { feeds, gated, started, step } from "../test/gated-program.ts";
import { loadBackend, resolveDtype } from "./backend.ts";
import { roundMatrixProducts } from "./bf16-pass.ts";
import { DataType, Graph } from "./graph.ts";
import { NativeProgram } from "./native-program.ts";
import type { ProgramSpec } from "./program.ts";

describe("bf16 pass", () => {
  it("rounds the operands of matrix products, each once, and widens the results", () => {
    const graph = new Graph();
    const float = { T: { type: DataType.float32 } };
    for (const name of ["x", "w", "split:1"]) graph.add("Placeholder", [], {}, name);
    graph.add("MatMul", ["x", "w"], { ...float, transpose_b: { b: true } }, "a");
    graph.add("BatchMatMulV2", ["x", "split:1"], float, "b");
    graph.add("BatchMatMul", ["a", "b"], float, "c");
    graph.add("Mul", ["a", "x"], float, "d");
    graph.add("DiffucoderAttention", ["d"], { heads: { i: 2 } }, "e");
    const rounded = roundMatrixProducts(graph);
    const bfloat16 = { T: { type: 14 } };
    const down = { SrcT: { type: 1 }, DstT: { type: 14 }, Truncate: { b: false } };
    const up = { SrcT: { type: 14 }, DstT: { type: 1 }, Truncate: { b: false } };
    expect(rounded.nodes.slice(3)).toEqual([
      { name: "x/bfloat16", op: "Cast", input: ["x"], attr: down },
      { name: "w/bfloat16", op: "Cast", input: ["w"], attr: down },
      { name: "a/product", op: "MatMul", input: ["x/bfloat16", "w/bfloat16"], attr: { ...bfloat16, transpose_b: { b: true } } },
      { name: "a", op: "Cast", input: ["a/product"], attr: up },
      { name: "split_1/bfloat16", op: "Cast", input: ["split:1"], attr: down },
      { name: "b/product", op: "BatchMatMulV2", input: ["x/bfloat16", "split_1/bfloat16"], attr: bfloat16 },
      { name: "b", op: "Cast", input: ["b/product"], attr: up },
      { name: "a/bfloat16", op: "Cast", input: ["a"], attr: down },
      { name: "b/bfloat16", op: "Cast", input: ["b"], attr: down },
      { name: "c/product", op: "BatchMatMul", input: ["a/bfloat16", "b/bfloat16"], attr: bfloat16 },
      { name: "c", op: "Cast", input: ["c/product"], attr: up },
      { name: "d", op: "Mul", input: ["a", "x"], attr: float },
      { name: "e", op: "DiffucoderAttention", input: ["d"], attr: { heads: { i: 2 }, rounded: { i: 1 } } },
    ]);
    expect(rounded.nodes.slice(0, 3)).toEqual(graph.nodes.slice(0, 3));
  });
});

describe("bf16 program", () => {
  let isFast = false;
  beforeAll(async () => {
    expect(await loadBackend(), "these tests need libtensorflow: npm run setup").toBe("native");
    isFast = resolveDtype("auto") === "bf16";
  });

  it("rounds in products only", ({ skip }) => {
    skip(!isFast, "this processor does not multiply bf16");
    const spec: ProgramSpec = {
      variables: { w: [2, 2] },
      dtype: "bf16",
      graphs: {
        g: {
          inputs: { x: { dtype: "float32", shape: [2, 2] } },
          build: ({ x }, { w }) => ({ product: tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), elementwise: tf.mul(x!, w!) }),
        },
      },
    };
    const program = new NativeProgram(spec);
    program.writeVariables(new Map([["w", { shape: [2, 2], data: Float32Array.of(1, 0, 0, 1) }]]));
    // 1 + 2^-9 needs 9 bits behind the point; bfloat16 has 7, and rounds it to 1. 1 + 2^-7 is kept.
    const x = Float32Array.of(1 + 2 ** -9, 0, 0, 1 + 2 ** -7);
    expect(program.run("g", { x })).toEqual({ product: Float32Array.of(1, 0, 0, 1 + 2 ** -7), elementwise: x });
    program.dispose();
  });

  it("trains close to fp32, on weights that stay fp32", ({ skip }) => {
    skip(!isFast, "this processor does not multiply bf16");
    const [fp32, bf16] = [gated, { ...gated, dtype: "bf16" as const }].map((spec) => started(new NativeProgram(spec)));
    for (let number = 1; number <= 20; number++) {
      const [expected, actual] = [step(fp32!, number), step(bf16!, number)];
      expect(actual.loss).not.toBe(expected.loss);
      expect(Math.abs(actual.loss / expected.loss - 1)).toBeLessThan(0.02);
    }
    const toBfloat16 = (value: number) => new Float32Array(new Uint32Array([new Uint32Array(Float32Array.of(value).buffer)[0]! & 0xffff0000]).buffer)[0]!;
    expect(bf16!.readVariables().get("gate")!.data.some((value) => value !== toBfloat16(value))).toBe(true);
    expect(bf16!.run("fit", feeds(), ["values"], { likeTraining: true })).toEqual({ values: step(bf16!, 21).outputs.values });
    for (const program of [fp32, bf16]) program!.dispose();
  });
});
