// Two training steps and a sampling network's logits, on the kernels that the environment names; JSON. Argument: fp32 or bf16.
import { backendInfo, createProgram } from "@diffucoder/engine";
import { diffusionFeeds, diffusionLossGraph } from "../src/diffusion-loss.ts";
import { decays, parameterShapes } from "../src/parameters.ts";
import { createSampler } from "../src/sampler.ts";
import { networkConfig } from "./network-shapes.ts";
import { vividParameters } from "./tiny-model.ts";

const dtype = process.argv[2] as "fp32" | "bf16";
const [batchSize, canvasLength] = [3, 64]; // whole tiles of every kind; a head width that is none
const config = networkConfig({ hiddenSize: 96, intermediateSize: 160, layers: 2, heads: 4, kvHeads: 2, tied: false }, canvasLength);
const parameters = new Map([...vividParameters(config)].map(([name, { shape, data }]) => [name, { shape, data: shape.length === 2 ? data.map((value) => value / 4) : data }]));
const tokens = Array.from({ length: batchSize }, (_, canvas) => Int32Array.from({ length: canvasLength }, (__, i) => (7 * i + 5 * canvas) % config.vocabSize));
const masked = Array.from({ length: canvasLength >> 1 }, (_, i) => 2 * i + 1);
const rowCapacity = batchSize * masked.length + 5;
const feeds = diffusionFeeds({ canvases: tokens.map((each) => ({ tokens: each, masked, noiseLevel: 0.5 })), originals: tokens, maskableCount: batchSize * (canvasLength - 1), rowCapacity });

const program = await createProgram({
  variables: parameterShapes(config),
  dtype,
  optimizer: { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 1, decays: decays(config) },
  graphs: { step: { ...diffusionLossGraph(config, { batchSize, canvasLength, rowCapacity, annealed: false }), train: true } },
});
program.writeVariables(parameters);
const steps = [1, 2].map((step) => program.trainStep("step", { ...feeds }, { learningRate: 1e-3, step }));
const figures = steps.flatMap(({ loss, gradientNorm }) => [loss, gradientNorm]);
const gradient = [...program.readOptimizer().first.values()].flatMap(({ data }) => [...data]);
program.dispose();

const sampler = await createSampler(config, { batchSize, canvasLength, windowLength: canvasLength - 1, dtype });
sampler.setParameters(parameters);
const logits = [...sampler.logitsOf(Int32Array.from(tokens.flatMap((each) => [...each])))];
sampler.dispose();
process.stdout.write(`${JSON.stringify({ info: await backendInfo(), figures, gradient, logits })}\n`);
