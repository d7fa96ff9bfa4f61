import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DECODING, bothCheckpoints, evaluation, sample, writeEvaluation } from "../../test/analysis-fixtures.ts";
import { readEvaluation, type EvaluationSource } from "./read-evaluation.ts";

let source: EvaluationSource;
beforeEach(() => {
  source = writeEvaluation(bothCheckpoints());
});
afterEach(() => rmSync(dirname(source.reportPath), { recursive: true }));

test("what an evaluation wrote is read as it was", async () => {
  expect(await readEvaluation(source)).toEqual(bothCheckpoints());
});

test.each<[string, string, RegExp]>([
  ["what is no JSON", "{", /samples\.jsonl:37: expected JSON/],
  ["an order that fixes a position twice", JSON.stringify(sample({ order: [0, 0, 1, 2] })), /samples\.jsonl:37: .*expected an order that fixes each position once/s],
  ["an order that leaves a position out", JSON.stringify(sample({ order: [0, 1, 2, 4] })), /expected an order that fixes each position once/],
  ["too few confidences", JSON.stringify(sample({ confidences: [1] })), /expected a step and a confidence for each position/],
  ["a first pass of too few positions", JSON.stringify(sample({ firstEntropies: [1, 1, 1] })), /expected an entropy at the first pass for each position/],
  ["an entropy below 0", JSON.stringify(sample({ firstEntropies: [1, 1, 1, -1] })), /expected number to be >=0/],
  ["a step too late", JSON.stringify(sample({ trace: [0, 1, 2, 4] })), /held-out in 4 steps, as the report says, found one in more/],
  ["an unknown benchmark", JSON.stringify(sample({ benchmark: "other" })), /answers to held-out, as the report says, found one to other/],
])("%s is refused with its place", async (_, line, message) => {
  appendFileSync(source.samplesPath, `${line}\n`);
  await expect(readEvaluation(source)).rejects.toMatchObject({ code: "EvaluationCorrupt", message: expect.stringMatching(message) as unknown });
});

test("with blocks, whose shares of the steps are rounded, an answer may take a step for each more", async () => {
  const inBlocks = { ...bothCheckpoints(), benchmarks: [{ name: "held-out", decoding: { ...DECODING, blockLength: 8 } }] };
  const blocks = writeEvaluation({ ...inBlocks, samples: [sample({ trace: [0, 1, 2, 5] })] }, dirname(source.reportPath));
  expect((await readEvaluation(blocks)).samples).toHaveLength(1);
  appendFileSync(blocks.samplesPath, JSON.stringify(sample({ trace: [0, 1, 2, 6] })));
  await expect(readEvaluation(blocks)).rejects.toThrow(/found one in more/);
});

test("files that are not there, hold nothing, or are no report", async () => {
  writeFileSync(source.samplesPath, "\n");
  await expect(readEvaluation(source)).rejects.toThrow(/samples\.jsonl: expected answers, found none/);
  rmSync(source.samplesPath);
  await expect(readEvaluation(source)).rejects.toThrow(/samples\.jsonl: expected a readable file, found none \(ENOENT\)/);
  writeFileSync(source.reportPath, JSON.stringify({ ...evaluation([]), checkpoints: [] }));
  await expect(readEvaluation(source)).rejects.toThrow(/report\.json: expected what an evaluation writes/);
  rmSync(source.reportPath);
  await expect(readEvaluation(source)).rejects.toMatchObject({ code: "EvaluationCorrupt", message: expect.stringMatching(/report\.json: expected a readable file, found none \(ENOENT\)/) as unknown });
});
