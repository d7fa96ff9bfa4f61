import fc from "fast-check";
import { expect, test } from "vitest";
import { formatMetrics, parseMetrics } from "./metrics.ts";

test("metrics are a JSON object a line, in the order given", () => {
  const lines = [
    { stage: "pretraining", step: 1, loss: 2.5 },
    { stage: "pretraining", step: 2, loss: 2.25, note: "warm" },
  ];
  expect(formatMetrics(lines)).toBe('{"stage":"pretraining","step":1,"loss":2.5}\n{"stage":"pretraining","step":2,"loss":2.25,"note":"warm"}\n');
  expect(formatMetrics([])).toBe("");
  expect(parseMetrics("", "f")).toEqual([]);
});

test("what is written is read back", () => {
  const figures = fc.dictionary(fc.stringMatching(/^[a-r]{1,6}$/), fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string()), { noNullPrototype: true });
  const line = fc.record({ stage: fc.string(), step: fc.nat(), more: figures }).map(({ stage, step, more }) => ({ ...more, stage, step }));
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = formatMetrics(lines);
      expect(formatMetrics(parseMetrics(text, "f"))).toBe(text);
      expect(parseMetrics(text, "f")).toEqual(JSON.parse(JSON.stringify(lines))); // JSON has no -0
    }),
    { numRuns: 50 },
  );
});

test("empty lines do not count as lines of metrics, but count", () => {
  const text = '\n{"stage":"a","step":1}\n\n{"stage":"b"}\n';
  expect(parseMetrics('\n{"stage":"a","step":1}\n\n', "f")).toEqual([{ stage: "a", step: 1 }]);
  expect(() => parseMetrics(text, "f")).toThrow("f:4: ");
});

test.each([
  ["not JSON", "{"],
  ["no object", "3"],
  ["no stage", '{"step":1}'],
  ["no step", '{"stage":"a"}'],
  ["a broken step", '{"stage":"a","step":1.5}'],
  ["a figure that was not a number", '{"stage":"a","step":1,"loss":null}'],
  ["a nested figure", '{"stage":"a","step":1,"loss":{"mean":2}}'],
])("a line with %s is refused, naming file and line", (_, line) => {
  const act = () => parseMetrics(`{"stage":"a","step":1}\n${line}\n`, "/c/metrics.jsonl");
  expect(act).toThrow(`/c/metrics.jsonl:2: expected {"stage", "step", figures}, found ${line}. Delete the line`);
  expect(act).toThrow(expect.objectContaining({ code: "MetricsCorrupt", retryable: false }));
});

test("of a long line the beginning is shown", () => {
  const long = "x".repeat(200);
  expect(() => parseMetrics(long, "f")).toThrow(`found ${"x".repeat(80)}. Delete`);
});
