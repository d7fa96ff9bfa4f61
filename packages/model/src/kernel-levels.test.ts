import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { backendInfo, type BackendInfo } from "@diffucoder/engine";
import { beforeAll, expect, it } from "vitest";

interface Outcome {
  readonly info: BackendInfo;
  /** Loss and gradient norm of each step. */
  readonly figures: number[];
  /** First moments of all variables. */
  readonly gradient: number[];
  readonly logits: number[];
}

/** In a process of its own, since kernels are loaded once. */
function stepOn(dtype: "fp32" | "bf16", env: Record<string, string> = {}): Outcome {
  const output = execFileSync(process.execPath, [...process.execArgv, join(import.meta.dirname, "../test/step-on-kernels.ts"), dtype], {
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(output.trim().split("\n").at(-1)!) as Outcome;
}

/** Distance as a share of the length of what is expected. */
function apart(found: readonly number[], expected: readonly number[]): number {
  const length = (values: readonly number[]) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return length(found.map((value, i) => value - expected[i]!)) / length(expected);
}

const PARTS = ["figures", "gradient", "logits"] as const;
let isFastInBf16 = false;
let level: string | undefined;
let exact: Outcome;
beforeAll(async () => {
  const info = await backendInfo();
  isFastInBf16 = /bf16/.test(info.instructionSet);
  level = info.libtensorflow.split("+")[1];
  exact = stepOn("fp32");
});

it.for(["x86-64-v3", "none"])("a step and a reading network on kernels of level %s are those of the widest, in fp32", (other, { skip }) => {
  skip(level === undefined || level === other, "there are no others");
  const found = stepOn("fp32", { DIFFUCODER_KERNELS: other });
  expect(found.info.libtensorflow.split("+")[1] ?? "none").toBe(other);
  for (const part of PARTS) expect(apart(found[part], exact[part]), part).toBeLessThan(1e-5);
});

it("without AMX, products of bf16 are as near to those of fp32 as with it, and the profile says so", ({ skip }) => {
  skip(!isFastInBf16 || level !== "x86-64-v4", "this processor does not multiply bf16");
  const [found, own] = [stepOn("bf16", { DIFFUCODER_AMX: "off" }), stepOn("bf16")];
  expect(found.info.instructionSet).toBe("avx512_bf16");
  for (const part of PARTS) {
    expect(apart(own[part], exact[part]), part).toBeGreaterThan(1e-5); // they were rounded
    expect(apart(found[part], exact[part]), part).toBeLessThan(1.5 * apart(own[part], exact[part]));
    expect(apart(found[part], own[part]), part).toBeLessThan(apart(own[part], exact[part])); // rounded alike
  }
});
