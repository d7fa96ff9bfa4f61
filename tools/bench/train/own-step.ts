// The training step of this project, driven over standard input and output like torch_step.py.
import { createInterface } from "node:readline";
import { createProgram } from "@diffucoder/engine";
import { decays, diffusionLossGraph, initialParameters, joinedParameters, parameterCount, parameterShapes } from "@diffucoder/model";
import type { Case } from "./cases.ts";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { model, batchSize, canvasLength, rowCapacity, variant, feeds } = JSON.parse((await lines.next()).value as string) as Case;
const program = await createProgram({
  variables: parameterShapes(model),
  joins: joinedParameters(model),
  dtype: variant === "bf16" ? "bf16" : "fp32",
  optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1, decays: decays(model) },
  graphs: { step: { ...diffusionLossGraph(model, { batchSize, canvasLength, rowCapacity, annealed: false }), train: true } },
});
program.writeVariables(initialParameters(model, 1));
const arrays = {
  tokens: Int32Array.from(feeds.tokens),
  rows: Int32Array.from(feeds.rows),
  targets: Int32Array.from(feeds.targets),
  weights: Float32Array.from(feeds.weights),
  isPresent: Float32Array.from(feeds.isPresent),
  maskableCount: Float32Array.of(feeds.maskableCount),
};
console.log(JSON.stringify({ version: process.version, parameters: parameterCount(model) }));
let step = 0;
for await (const line of { [Symbol.asyncIterator]: () => lines }) {
  const ms: number[] = [];
  let loss = 0;
  for (let left = Number(line.split(" ")[1]); left > 0; left -= 1) {
    const start = performance.now();
    ({ loss } = program.trainStep("step", arrays, { learningRate: 1e-3, step: (step += 1) }));
    ms.push(performance.now() - start);
  }
  console.log(JSON.stringify({ ms, loss, peakBytes: process.resourceUsage().maxRSS * 1024 }));
}
