// Prints a digest of logits of the sampling network for several shapes, each evaluated many times: one line, or one more for each that
// differed from the time before. The test of the native kernels runs it with different numbers of threads.
import { createHash } from "node:crypto";
import { createSampler } from "../src/sampler.ts";
import { SHAPES, networkConfig } from "./network-shapes.ts";
import { vividParameters } from "./tiny-model.ts";

const [dtype, times] = process.argv.slice(2) as ["fp32" | "bf16", string];
const digest = createHash("sha256");
for (const { batchSize, canvasLength, ...changes } of SHAPES) {
  const config = networkConfig(changes, canvasLength);
  const sampler = await createSampler(config, { batchSize, canvasLength, windowLength: canvasLength - 1, dtype });
  sampler.setParameters(vividParameters(config));
  const tokens = Int32Array.from({ length: batchSize * canvasLength }, (_, i) => (i * 7) % config.vocabSize);
  const first = Buffer.from(sampler.logitsOf(tokens).buffer);
  for (let time = 1; time < Number(times); time++) {
    if (!Buffer.from(sampler.logitsOf(tokens).buffer).equals(first)) console.log(`time ${time} of ${canvasLength} tokens differs`);
  }
  digest.update(first);
  sampler.dispose();
}
console.log(digest.digest("hex"));
