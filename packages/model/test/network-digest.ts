// Prints a digest of logits of the sampling network, whole and in parts, for several shapes, each evaluated many times: one line, or one more for each that
// differed from the time before. The test of the native kernels runs it with different numbers of threads.
import { createHash } from "node:crypto";
import { createBlockSampler } from "../src/block-sampler.ts";
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

  const blockLength = canvasLength >> 1;
  const blockSampler = await createBlockSampler(config, { batchSize, canvasLength, windowLength: canvasLength - 1, blockLength, dtype, cache: "dual" });
  blockSampler.setParameters(vividParameters(config));
  const blocks = Array.from({ length: batchSize }, (_, canvas) => ({ start: 1 + (canvas % 2), end: 1 + (canvas % 2) + blockLength }));
  const positions = Int32Array.from(blocks.flatMap(({ start, end }, canvas) => Array.from({ length: end - start }, (_, i) => canvas * canvasLength + start + i)));
  blockSampler.openBlocks(tokens, blocks, positions, { temperature: 1 });
  const changed = tokens.map((token, i) => (token + (i % 2)) % config.vocabSize);
  const readPart = () => Buffer.concat([...blockSampler.readBlocks(changed, positions, { temperature: 1 }).values()].map((logits) => Buffer.from(logits.slice().buffer)));
  const firstPart = readPart();
  for (let time = 1; time < Number(times); time++) if (!readPart().equals(firstPart)) console.log(`time ${time} of a part of ${canvasLength} tokens differs`);
  digest.update(firstPart);
  blockSampler.dispose();
}
console.log(digest.digest("hex"));
