// Decoding of this project, driven over standard input and output like torch_decode.py.
import { createInterface } from "node:readline";
import { createSampler, decode } from "@diffucoder/model";
import { weightsOf, type Case } from "./cases.ts";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { model, batchSize, canvasLength, prompts, steps, algorithm, temperature, dtype } = JSON.parse((await lines.next()).value as string) as Case;
const windowLength = canvasLength - prompts[0]!.length;
const sampler = await createSampler(model, { batchSize, canvasLength, windowLength, dtype });
sampler.setParameters(weightsOf(model));
const streamOf = (sample: number) => ({ seed: 1, stage: "bench", sample, purpose: "decode" });
console.log(JSON.stringify({ version: process.version }));
for await (const line of { [Symbol.asyncIterator]: () => lines }) {
  const ms: number[] = [];
  let tokens: number[] = [];
  for (let left = Number(line.split(" ")[1]); left > 0; left -= 1) {
    const start = performance.now();
    const canvases = decode(sampler, { prompts, maskId: model.maskId, steps, algorithm, temperature, streamOf });
    ms.push(performance.now() - start);
    tokens = canvases.flatMap((canvas) => [...canvas.tokens]);
  }
  console.log(JSON.stringify({ ms, tokens, peakBytes: process.resourceUsage().maxRSS * 1024 }));
}
