import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { drawNoiseLevel, noiseCanvas } from "./noise.ts";

const draws = (seed = 5) => stream({ seed, stage: "t", purpose: "noise" });

describe("noise levels", () => {
  it("are uniform above the smallest, up to 1", () => {
    const stretched = [0, 0.25, 1 - 2 ** -53].map((uniform) => drawNoiseLevel({ ...draws(), uniform: () => uniform }, 0.2));
    [1, 0.8, 0.2].forEach((level, i) => expect(stretched[i]).toBeCloseTo(level, 12));
    expect(stretched[2]).toBeGreaterThan(0.2 - 1e-15);
    const source = draws();
    const levels = Array.from({ length: 4000 }, () => drawNoiseLevel(source)).sort((a, b) => a - b);
    expect(levels[0]).toBeGreaterThan(1e-3);
    expect(levels.at(-1)).toBeLessThanOrEqual(1);
    // Largest distance between the empirical and the stated distribution: below 1.63 / sqrt(n) in 99 of 100 samples.
    const distance = Math.max(...levels.map((level, i) => Math.abs((i + 0.5) / 4000 - (level - 1e-3) / (1 - 1e-3))));
    expect(distance).toBeLessThan(1.63 / Math.sqrt(4000));
  });
});

describe("noise", () => {
  it("hides only maskable positions, never position 0, and changes nothing else", () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 9 }), (seed, noiseLevel, promptLength) => {
        const tokens = Array.from({ length: 10 }, (_, i) => i);
        const canvas = noiseCanvas({ tokens, isMaskable: (p) => p >= promptLength, noiseLevel, draws: draws(seed), maskId: 99 });
        for (let p = 0; p < 10; p++) expect(canvas.tokens[p]).toBe(canvas.masked.includes(p) ? 99 : p);
        for (const position of canvas.masked) expect(position).toBeGreaterThanOrEqual(Math.max(1, promptLength));
        expect(canvas.masked).toEqual([...canvas.masked].sort((a, b) => a - b));
        expect(canvas.noiseLevel).toBe(noiseLevel);
        expect(tokens).toEqual(Array.from({ length: 10 }, (_, i) => i));
      }),
    );
  });

  it("hides everything but position 0 at level 1, and nothing at level 0", () => {
    const maskedAt = (noiseLevel: number) => noiseCanvas({ tokens: [1, 2, 3, 4], isMaskable: () => true, noiseLevel, draws: draws(), maskId: 9 }).masked;
    expect(maskedAt(1)).toEqual([1, 2, 3]);
    expect(maskedAt(0)).toEqual([]);
  });

  it("hides a token whose draw is below the level, and none whose draw is the level itself", () => {
    const uniforms = [0.25, 0.5 - 2 ** -53, 0.5, 0.75];
    const source = { ...draws(), uniform: () => uniforms.shift()! };
    expect(noiseCanvas({ tokens: [1, 2, 3, 4, 5], isMaskable: () => true, noiseLevel: 0.5, draws: source, maskId: 9 }).masked).toEqual([1, 2]);
  });

  it("hides each token independently: the count is binomial", () => {
    const [length, noiseLevel, canvases] = [51, 0.3, 3000];
    const source = draws();
    const counts = Array.from({ length: canvases }, () => noiseCanvas({ tokens: new Array<number>(length).fill(1), isMaskable: () => true, noiseLevel, draws: source, maskId: 9 }).masked.length);
    const mean = counts.reduce((a, b) => a + b) / canvases;
    const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / canvases;
    // 50 maskable tokens: mean 15, variance 10.5, each within four standard errors.
    expect(Math.abs(mean - 15)).toBeLessThan(4 * Math.sqrt(10.5 / canvases));
    expect(Math.abs(variance - 10.5)).toBeLessThan(4 * 10.5 * Math.sqrt(2 / canvases));
  });

  it("keeps a canvas's noise when only what is maskable changes", () => {
    const maskedFrom = (first: number) => noiseCanvas({ tokens: new Array<number>(40).fill(1), isMaskable: (p) => p >= first, noiseLevel: 0.5, draws: draws(), maskId: 9 }).masked;
    const all = maskedFrom(0);
    expect(all.length).toBeGreaterThan(5);
    expect(maskedFrom(20)).toEqual(all.filter((position) => position >= 20));
  });
});
