// All that makes a verdict: what is bundled for the digest of a harness. Nothing imports it.
export { createSandbox } from "@diffucoder/sandbox";
export { readBenchmark } from "./benchmark.ts";
export { scoreSamples } from "./score-samples.ts";
