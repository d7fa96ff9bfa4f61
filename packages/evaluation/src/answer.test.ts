import type { Sampler } from "@diffucoder/model";
import { expect, test } from "vitest";
import { encode, model, tokenizer } from "../test/fixtures.ts";
import { decodeAnswers, type DecodingOptions } from "./answer.ts";

const LENGTH = 12;
const END = tokenizer.id("<|im_end|>");

/** A sampler that is sure of the token at each position; where `wanted` has a choice of two, they are equally likely. */
function sampler(wanted: readonly (readonly number[])[], batchSize = 2): Sampler {
  const windowLength = LENGTH - 1;
  const vocabSize = tokenizer.vocabSize;
  return {
    batchSize,
    canvasLength: LENGTH,
    windowLength,
    vocabSize,
    logitsOf: () => {
      const logits = new Float32Array(batchSize * windowLength * vocabSize).fill(-100);
      for (let row = 0; row < batchSize; row++) {
        for (let position = 1; position < LENGTH; position++) {
          for (const token of wanted[position]!) logits[(row * windowLength + position - 1) * vocabSize + token] = 0;
        }
      }
      return logits;
    },
  };
}

const options = (changes: Partial<DecodingOptions> = {}): DecodingOptions => ({
  model,
  tokenizer,
  settings: { steps: 3, algorithm: "entropy", topP: 1 },
  temperature: 1,
  streamOf: (prompt) => ({ seed: 1, stage: "test", sample: prompt, purpose: "answer" }),
  onStep: () => {},
  ...changes,
});

const tokensOf = (text: string): number[][] => [...encode(text)].map((id) => [id]);
const prompt = (length: number) => new Uint32Array(length).fill(encode("x")[0]!);

test("an answer is the text between prompt and end marker, without filler", () => {
  // Canvas: ? return x x end pad ...; the prompt covers position 0 in the first answer, and "return" too in the second.
  const words = [...tokensOf(" return x"), [model.maskId], ...tokensOf(" x"), [model.padId], [END]];
  expect(words).toHaveLength(6);
  const wanted = [[0], ...words, ...new Array<number[]>(LENGTH - 7).fill([model.padId])];
  const [first, second] = decodeAnswers(sampler(wanted), [prompt(1), prompt(2)], options());
  expect(first).toMatchObject({ text: " return x x", liveLength: 6 });
  expect(second).toMatchObject({ text: " x x", liveLength: 5 });
  expect([...first!.order].sort((a, b) => a - b)).toEqual(Array.from({ length: LENGTH - 1 }, (_, i) => i));
  expect([...second!.order].sort((a, b) => a - b)).toEqual(Array.from({ length: LENGTH - 2 }, (_, i) => i));
});

test("an answer without an end marker goes to the end of the canvas, and a marker in the prompt does not end it", () => {
  const wanted = new Array<number[]>(LENGTH).fill([encode("x")[0]!]);
  const [answer] = decodeAnswers(sampler(wanted), [Uint32Array.of(END, END)], options());
  expect(answer).toMatchObject({ text: "x".repeat(LENGTH - 2), liveLength: LENGTH - 2 });
});

test("answers depend on their own stream alone, whatever the batch", () => {
  const wanted = new Array<number[]>(LENGTH).fill([encode("x")[0]!, encode("y")[0]!]);
  const prompts = [1, 1, 2, 1, 3].map(prompt);
  const inTwos = decodeAnswers(sampler(wanted, 2), prompts, options());
  expect(decodeAnswers(sampler(wanted, 1), prompts, options())).toEqual(inTwos);
  expect(decodeAnswers(sampler(wanted, 5), prompts, options())).toEqual(inTwos);
  expect(new Set([0, 1, 3].map((i) => inTwos[i]!.text)).size).toBe(3);
});

test("every step is counted, and each position knows the step that fixed it", () => {
  const wanted = new Array<number[]>(LENGTH).fill([END]);
  let steps = 0;
  const answers = decodeAnswers(sampler(wanted), [1, 1].map(prompt), options({ onStep: () => void steps++ }));
  expect(steps).toBe(3);
  for (const { order, trace, confidences } of answers) {
    expect(confidences).toHaveLength(LENGTH - 1);
    for (const confidence of confidences) expect(Math.abs(confidence)).toBeLessThan(1e-3); // sure: no entropy
    expect(trace).toHaveLength(LENGTH - 1);
    expect(new Set(trace)).toEqual(new Set([0, 1, 2]));
    const stepsInOrder = order.map((position) => trace[position]!);
    expect(stepsInOrder).toEqual([...stepsInOrder].sort((a, b) => a - b));
  }
});

test("after an early stop, order, trace and confidences end with the answer; the first pass is of every position", () => {
  const x = encode("x")[0]!;
  const wanted = [[0], [x], [END], ...new Array<number[]>(LENGTH - 3).fill([x, x + 1])];
  const settings = { steps: LENGTH - 1, algorithm: "entropy", topP: 1, stopAtEnd: true } as const;
  const [stopped] = decodeAnswers(sampler(wanted), [prompt(1)], options({ settings, temperature: 0, keepFirstPass: true }));
  expect(stopped).toMatchObject({ text: "x", liveLength: 2 });
  for (const list of [stopped!.order, stopped!.trace, stopped!.confidences]) expect(list).toHaveLength(2);
  expect([...stopped!.order].sort()).toEqual([0, 1]);
  expect(stopped!.firstEntropies).toEqual([0, 0, ...new Array<number>(LENGTH - 3).fill(0.6931)]);
  const [whole] = decodeAnswers(sampler(wanted), [prompt(1)], options({ temperature: 0 }));
  expect(whole!.order).toHaveLength(LENGTH - 1);
  expect(whole!.firstEntropies).toBeUndefined();
});
