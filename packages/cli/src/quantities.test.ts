import { expect, test } from "vitest";
import { formatBytes, formatCount, formatDuration, formatFlops, formatShare } from "./quantities.ts";

test.each([
  [0, "0.0 s"],
  [4_230, "4.2 s"],
  [59_949, "59.9 s"],
  [60_000, "1:00"],
  [65_400, "1:05"],
  [3_599_600, "1:00:00"],
  [7_384_000, "2:03:04"],
])("%d ms are %s", (ms, text) => expect(formatDuration(ms)).toBe(text));

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.00 kB"],
  [15_340, "15.3 kB"],
  [153_400, "153 kB"],
  [2e9, "2.00 GB"],
])("%d bytes are %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test("counts and operations have the same prefixes, to the largest there is", () => {
  expect(formatCount(65.536e9)).toBe("65.5 G");
  expect(formatCount(12)).toBe("12");
  expect(formatFlops(3.2e21)).toBe("3.20 ZFLOP");
  expect(formatFlops(5e27)).toBe("5000 YFLOP");
});

test("shares are per cent with one digit", () => expect(formatShare(0.1234)).toBe("12.3 %"));
