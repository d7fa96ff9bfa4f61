import * as tf from "@tensorflow/tfjs-core";

/** `tf.tidy` for work that gives back numbers and no tensors: it would look for tensors in a typed array one number at a time. */
export function tidied<T>(work: () => T): T {
  let result: T | undefined;
  tf.tidy(() => {
    result = work();
  });
  return result as T;
}
