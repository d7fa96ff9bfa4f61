import { expect, test } from "vitest";
import { mergeSettings } from "./merge-settings.ts";

test("changes go in key by key; lists and plain values are replaced whole", () => {
  const settings = { steps: 5, schedule: { warmup: 2, peak: 0.1 }, mixture: ["a", "b"] };
  expect(mergeSettings(settings, { schedule: { peak: 0.2 }, mixture: ["c"], extra: { on: true } })).toEqual({
    steps: 5,
    schedule: { warmup: 2, peak: 0.2 },
    mixture: ["c"],
    extra: { on: true },
  });
  expect(mergeSettings(settings)).toEqual(settings);
});
