// Digests of matrix products of many shapes, exact and rounded, on the kernels and threads that the environment names; JSON.
import { createHash } from "node:crypto";
import * as tf from "@tensorflow/tfjs-core";
import { loadBackend, resolveDtype, runNativeKernel } from "../src/index.ts";

await loadBackend();
const values = (rows: number, columns: number, pace: number) => tf.tensor2d(Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * pace)), [rows, columns]);

function digest(rounded: 0 | 1): string {
  const hash = createHash("sha256");
  for (const [m, n, k] of [[1, 1, 1], [7, 33, 300], [200, 70, 1500], [129, 1100, 64], [800, 70, 384], [64, 64, 4096]] as const) {
    for (const transposeA of [0, 1]) {
      for (const transposeB of [0, 1]) {
        tf.tidy(() => {
          const operands = [transposeA === 1 ? values(k, m, 1.3) : values(m, k, 1.3), transposeB === 1 ? values(n, k, 0.7) : values(k, n, 0.7)];
          const [product] = runNativeKernel("DiffucoderMatrixProduct", operands, 1, { integers: { transpose_a: transposeA, transpose_b: transposeB, rounded } });
          hash.update(product!.dataSync());
        });
      }
    }
  }
  return hash.digest("hex");
}

process.stdout.write(`${JSON.stringify({ exact: digest(0), rounded: resolveDtype("auto") === "bf16" ? digest(1) : null })}\n`);
