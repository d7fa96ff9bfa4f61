import { stream } from "@diffucoder/random";
import { describe, expect, it } from "vitest";
import { annealedAttentionBias, annealingRatio, causalAttentionBias, closeFrom } from "./attention-annealing.ts";

const draws = (seed = 5) => stream({ seed, stage: "t", purpose: "bias" });

describe("annealing", () => {
  it("goes from the first step to full in a straight line, and stays there", () => {
    expect([0, 4, 8, 9, 10, 2000].map((step) => annealingRatio(step, 10))).toEqual([0.1, 0.5, 0.9, 1, 1, 1]);
    expect([annealingRatio(0, 0), annealingRatio(0, 1)]).toEqual([1, 1]);
  });

  it("is causal at ratio 0 and full at ratio 1", () => {
    const far = Math.fround(-1e9);
    expect([...annealedAttentionBias(3, 0, draws())]).toEqual([0, far, far, 0, 0, far, 0, 0, 0]);
    expect([...annealedAttentionBias(3, 1, draws())]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("opens each future position by a draw of its own, row by row", () => {
    const source = draws();
    const [first, second, third] = [source.uniform(), source.uniform(), source.uniform()] as const;
    const closed = (draw: number, ratio: number) => (draw < ratio ? 0 : Math.fround(-1e9));
    for (const ratio of [0.1, 0.5, first, second + 1e-9, 0.9]) {
      expect([...annealedAttentionBias(3, ratio, draws())]).toEqual([0, closed(first, ratio), closed(second, ratio), 0, 0, closed(third, ratio), 0, 0, 0]);
    }
  });

  it("opens about the stated share, and never closes what a smaller ratio left open", () => {
    const length = 60;
    const openShare = (bias: Float32Array) => 1 - bias.filter((value) => value < 0).length / ((length * (length - 1)) / 2);
    const quarter = annealedAttentionBias(length, 0.25, draws());
    const half = annealedAttentionBias(length, 0.5, draws());
    expect(openShare(quarter)).toBeCloseTo(0.25, 1);
    expect(openShare(half)).toBeCloseTo(0.5, 1);
    half.forEach((value, i) => expect(value).toBeGreaterThanOrEqual(quarter[i]!));
    expect(annealedAttentionBias(length, 0.5, draws(6))).not.toEqual(half);
  });
});

describe("other biases", () => {
  it("causal ones hide what comes later, as annealing begins", () => {
    expect(causalAttentionBias(7)).toEqual(annealedAttentionBias(7, 0, draws()));
  });

  it("closed from an end on hide that from every row, and keep what was hidden", () => {
    const far = Math.fround(-1e9);
    expect([...closeFrom(2, new Float32Array(9))]).toEqual([0, 0, far, 0, 0, far, 0, 0, far]);
    expect([...closeFrom(2, causalAttentionBias(3))]).toEqual([0, far, far, 0, 0, far, 0, 0, far]);
    expect([...closeFrom(3, new Float32Array(9))]).toEqual(new Array(9).fill(0));
  });
});
