import { loadBackend } from "@diffucoder/engine";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { plainForward } from "../test/plain-forward.ts";
import { tinyConfig, vividParameters } from "../test/tiny-model.ts";
import { decode } from "./decode.ts";
import type { DecodedCanvas } from "./open-canvas.ts";
import { createSampler } from "./sampler.ts";
import { ALGORITHMS, filteredProbs } from "./token-distribution.ts";

beforeAll(async () => {
  await loadBackend();
});

const LENGTH = 8;
const config = tinyConfig();
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe("sampler", () => {
  it("gives the logits that describe the last positions", async () => {
    const parameters = vividParameters(config);
    const sampler = await createSampler(config, { batchSize: 2, canvasLength: LENGTH, windowLength: 4, dtype: "fp32" });
    expect(sampler).toMatchObject({ batchSize: 2, canvasLength: LENGTH, windowLength: 4, vocabSize: 11 });
    sampler.setParameters(parameters);
    const tokens = [
      [1, 2, 3, 4, 5, 6, 7, 8],
      [9, 9, 1, 2, 0, 3, 10, 10],
    ];
    const logits = sampler.logitsOf(Int32Array.from(tokens.flat()));
    const expected = tokens.flatMap((canvas) => plainForward(config, parameters, canvas).slice(3, 7).flat());
    expect(logits).toHaveLength(2 * 4 * 11);
    expected.forEach((logit, i) => expect(logits[i]).toBeCloseTo(logit, 4));
    sampler.dispose();
    expect(() => sampler.logitsOf(Int32Array.from(tokens.flat()))).toThrow("disposed");
  });

  it("refuses parameters of another model, and windows that are not behind the first position", async () => {
    const sampler = await createSampler(config, { batchSize: 1, canvasLength: LENGTH, windowLength: LENGTH - 1, dtype: "fp32" });
    expect(() => sampler.setParameters(vividParameters(tinyConfig({ tied: false })))).toThrow(expect.objectContaining({ code: "WrongParameters" }));
    expect(sampler.logitsOf(new Int32Array(LENGTH))).toHaveLength((LENGTH - 1) * 11);
    sampler.dispose();
    for (const windowLength of [LENGTH, 0, -3]) {
      await expect(createSampler(config, { batchSize: 1, canvasLength: LENGTH, windowLength, dtype: "fp32" })).rejects.toMatchObject({
        code: "WrongShape",
        message: `window: expected 1 to 7 positions on a canvas of 8, found ${windowLength}`,
      });
    }
  });

  it("reads positions by themselves, knows how far to doubt, and decodes as without", async () => {
    const parameters = vividParameters(config);
    const sampler = await createSampler(config, { batchSize: 3, canvasLength: LENGTH, windowLength: LENGTH - 1, dtype: "fp32" });
    sampler.setParameters(parameters);
    const tokens = Int32Array.from({ length: 3 * LENGTH }, (_, i) => i % 9);
    const whole = sampler.logitsOf(tokens);
    const rowOf = (canvas: number, position: number) => whole.subarray((canvas * 7 + position - 1) * 11, (canvas * 7 + position) * 11);
    // More and fewer than a quarter of the window's 21 positions, and all of them but one.
    for (const places of [[[2, 7], [0, 1], [1, 4]], [[1, 1], [1, 2], [1, 3], [0, 7], [0, 5], [2, 2]], range(20).map((i) => [Math.floor(i / 7), 1 + (i % 7)])] as [number, number][][]) {
      const positions = Int32Array.from(places, ([canvas, position]) => canvas * LENGTH + position);
      let doubts = new Float32Array();
      const inQuestion = (given: Float32Array) => ((doubts = Float32Array.from(given)), range(places.length).filter((index) => index % 2 === 1));
      const asked = sampler.readPositions!(tokens, positions, { temperature: 2, doubt: { name: "missingProbability", inQuestion } });
      const all = sampler.readPositions!(tokens, positions, { temperature: 2 });
      expect([...all.keys()]).toEqual([...positions]);
      expect(asked).toEqual(new Map([...all].filter((_, index) => index % 2 === 1)));
      places.forEach(([canvas, position], row) => {
        rowOf(canvas, position).forEach((logit, id) => expect(all.get(positions[row]!)![id]).toBeCloseTo(logit, 4));
        expect(1 - doubts[row]!).toBeCloseTo(Math.max(...filteredProbs(rowOf(canvas, position), { temperature: 2 })), 5);
      });
      expect(doubts).toHaveLength(places.length);
    }
    const { batchSize, canvasLength, windowLength, vocabSize, logitsOf } = sampler;
    const exact = { batchSize, canvasLength, windowLength, vocabSize, logitsOf };
    for (const algorithm of ALGORITHMS) {
      // With thirty steps, most fix nothing, and the reading before stands.
      for (const [temperature, steps] of [[0, 4], [0.8, 4], [0, 30]] as const) {
        const decoding = { prompts: [[1], [2, 3], [0], [5, 5]], maskId: config.maskId, steps, algorithm, temperature, streamOf: (sample: number) => ({ seed: 1, stage: "t", sample, purpose: "d" }) };
        const choicesOf = (canvases: readonly DecodedCanvas[]) => canvases.map(({ tokens: chosen, trace, order }) => ({ chosen, trace, order }));
        expect(choicesOf(decode(sampler, decoding))).toEqual(choicesOf(decode(exact, decoding)));
      }
    }
    sampler.dispose();
  });

  it("decodes a prompt to the same tokens alone and in a batch, and leaves no tensor behind", async () => {
    const before = tf.memory().numTensors;
    const parameters = vividParameters(config);
    const prompts = [[1], [2, 3], [0], [3, 3, 3], [7, 1]];
    const decodeWith = async (batchSize: number) => {
      const sampler = await createSampler(config, { batchSize, canvasLength: LENGTH, windowLength: LENGTH - 1, dtype: "fp32" });
      sampler.setParameters(parameters);
      const canvases = [0, 0.8].flatMap((temperature) =>
        decode(sampler, { prompts, maskId: config.maskId, steps: 5, algorithm: "entropy", temperature, streamOf: (prompt) => ({ seed: 1, stage: "t", sample: prompt, purpose: "d" }) }),
      );
      sampler.dispose();
      return canvases.map(({ tokens, promptLength, trace, order }) => ({ tokens, promptLength, trace, order }));
    };
    const together = await decodeWith(5);
    expect(await decodeWith(1)).toEqual(together);
    expect(await decodeWith(3)).toEqual(together);
    together.forEach(({ tokens, promptLength }, i) => expect([...tokens.subarray(0, promptLength)]).toEqual(prompts[i % 5]));
    expect(tf.memory().numTensors).toBe(before);
  });
});
