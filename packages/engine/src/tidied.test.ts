import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, test } from "vitest";
import { loadBackend } from "./backend.ts";
import { tidied } from "./tidied.ts";

beforeAll(async () => {
  await loadBackend();
});

test("tensors made on the way are disposed of, and what is given back is handed on unread", () => {
  const numbers = Object.defineProperty([1], 0, {
    enumerable: true,
    get: () => {
      throw new Error("was looked into");
    },
  });
  const before = tf.memory().numTensors;
  const result = tidied(() => {
    tf.add(tf.ones([2]), 1);
    return { numbers };
  });
  expect(result.numbers).toBe(numbers);
  expect(tf.memory().numTensors).toBe(before);
  expect(() => tidied(() => tf.add(tf.ones([2]), tf.ones([3])))).toThrow();
  expect(tf.memory().numTensors).toBe(before);
});
