import { loadBackend } from "@diffucoder/engine";
import { stream } from "@diffucoder/random";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { confidenceBounds, confidenceDoubts, doubtFor, type DoubtName } from "./confidence-doubt.ts";
import { confidenceOf, filteredProbs, indexOfLargest, type DecodeAlgorithm } from "./token-distribution.ts";

beforeAll(async () => {
  await loadBackend();
});

/** Rows of logits of all kinds: flat to sharp, high and low, ties, and one token alone. */
function rowsOf(vocabSize: number): Float32Array[] {
  const draws = stream({ seed: 1, stage: "test", sample: vocabSize, purpose: "logits" });
  const rows = [0, 0.1, 1, 3, 10, 40].flatMap((spread) => Array.from({ length: 8 }, (_, i) => Float32Array.from({ length: vocabSize }, () => 20 * (i - 4) + spread * draws.normal())));
  const alone = new Float32Array(vocabSize).fill(-60);
  alone[1] = 20;
  const two = Float32Array.from(alone);
  two[0] = 20;
  return [...rows, alone, two];
}

const ALGORITHM_OF: Readonly<Record<DoubtName, DecodeAlgorithm>> = { missingProbability: "maskgit_plus", missingMargin: "topk_margin", entropy: "entropy" };

describe("doubts", () => {
  it.each([11, 1024, 20_000])("of %i tokens bound the confidence in double precision, with room to spare", (vocabSize) => {
    const rows = rowsOf(vocabSize);
    for (const temperature of [1, 0.2, 1.2]) {
      const doubts = tf.tidy(() => {
        const logits = tf.tensor2d(Float32Array.from(rows.flatMap((row) => [...row])), [rows.length, vocabSize]);
        const tensors = confidenceDoubts(logits, tf.scalar(temperature));
        return Object.entries(tensors).map(([name, tensor]) => [name as DoubtName, tensor.dataSync()] as const);
      });
      expect(doubts).toHaveLength(3);
      for (const [name, values] of doubts) {
        rows.forEach((row, i) => {
          const probs = filteredProbs(row, { temperature });
          const exact = confidenceOf(ALGORITHM_OF[name], probs, indexOfLargest(probs));
          const { lowest, highest } = confidenceBounds(name, values[i]!, vocabSize);
          const middle = (lowest + highest) / 2;
          const distance = Math.abs(exact - middle);
          const room = name === "entropy" ? highest - middle : (highest - middle) / 2;
          expect(distance, `${name} of ${exact} at row ${i}`).toBeLessThanOrEqual(room);
          expect(highest - lowest).toBeLessThan(2e-3 * Math.abs(values[i]!) + 1e-10 * vocabSize + 1e-12);
        });
      }
    }
  });

  it("keep the digits of sure positions apart", () => {
    const doubts = tf.tidy(() => confidenceDoubts(tf.tensor2d([30, 0, 0, 30, 1, 0], [2, 3]), tf.scalar(1)).missingProbability.dataSync());
    const [first, second] = [...doubts].map((doubt) => confidenceBounds("missingProbability", doubt, 3));
    expect(first!.lowest).toBeGreaterThan(second!.highest); // 2e-13 and 3.5e-13 short of 1
  });

  it("that are no numbers say nothing", () => {
    for (const doubt of [NaN, Infinity]) expect(confidenceBounds("entropy", doubt, 11)).toEqual({ lowest: -Infinity, highest: Infinity });
  });

  it("stand for a confidence only where the host would not cut or draw first", () => {
    const greedy = { temperature: 0 };
    expect(doubtFor("entropy", greedy)).toBe("entropy");
    expect(doubtFor("entropy", { temperature: 1 })).toBe("entropy");
    expect(doubtFor("topk_margin", { temperature: 1 })).toBe("missingMargin");
    expect(doubtFor("maskgit_plus", greedy)).toBe("missingProbability");
    expect(doubtFor("maskgit_plus", { temperature: 1 })).toBeUndefined(); // the probability of the token that is drawn
    expect(doubtFor("entropy", { temperature: 1, topP: 0.9 })).toBeUndefined();
    expect(doubtFor("entropy", { temperature: 1, topK: 5 })).toBeUndefined();
    expect(doubtFor("origin", greedy)).toBeUndefined();
  });
});
