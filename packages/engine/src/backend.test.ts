import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { loadBackend, resolveDtype, type BackendInfo } from "./backend.ts";

const flags = /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))![1]!.trim().split(" ");
const widest = ["amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx"].find((flag) => flags.includes(flag))!;

interface Outcome {
  readonly info: BackendInfo;
  readonly losses: number[];
  readonly tensorsLeft: number;
  readonly scale: number[];
  readonly products: { readonly shape: number[]; readonly values: number[] }[];
  /** Buffers of the backend that the products left behind. */
  readonly dataLeft: number;
  readonly segments: number[];
  readonly auto: string;
  readonly bf16?: { readonly code: string; readonly message: string };
}

/** Runs the fixture in a process of its own, since a process has one backend for life. */
async function trainOn(backend: string | undefined, options: readonly string[] = [], env: Record<string, string> = {}): Promise<Outcome> {
  const { DIFFUCODER_BACKEND: _, DIFFUCODER_KERNELS: __, TF_NUM_INTRAOP_THREADS: ___, ...inherited } = process.env;
  const named = backend === undefined ? {} : { DIFFUCODER_BACKEND: backend };
  const script = join(import.meta.dirname, "..", "test", "train-on-backend.ts");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--conditions=@diffucoder/source", ...options, script], { env: { ...inherited, ...named, ...env } });
  expect(stderr).not.toContain("DeprecationWarning");
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as Outcome;
}

const furthest = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

describe("backends", () => {
  let native: Outcome;

  it("native is the first choice, and tells what its bytes depend on", async () => {
    native = await trainOn(undefined);
    expect(native.info).toEqual({ backend: "native", instructionSet: widest, threads: availableParallelism(), libtensorflow: expect.stringMatching(/^2\.\d+\.\d+\+x86-64-v[34]$/) as string });
    expect((await trainOn("native", [], { TF_NUM_INTRAOP_THREADS: "1" })).info.threads).toBe(1);
  });

  it.each(["wasm", "cpu"])("%s gives what the native one gives", async (name) => {
    const portable = await trainOn(name);
    expect(portable.info).toEqual({ backend: name, instructionSet: widest, threads: 1, libtensorflow: `tfjs-${name}-4.22.0`, slowerByDemand: expect.stringMatching(`^DIFFUCODER_BACKEND=${name} demands it: .*slower.*\\. Unset it`) as string });
    expect(furthest(portable.losses, native.losses) / native.losses[0]!).toBeLessThan(1e-5);
    expect(furthest(portable.scale, native.scale)).toBeLessThan(1e-5);
    expect(portable.tensorsLeft).toBe(0);
    expect(portable.dataLeft).toBe(0);
    expect(portable.products.map(({ shape }) => shape)).toEqual([[3, 5], [3, 5], [3, 5], [3, 5], [2, 3, 5], [2, 2, 3, 5], [2, 3, 5]]);
    portable.products.forEach(({ values }, i) => expect(furthest(values, native.products[i]!.values)).toBeLessThan(1e-5));
    // Rows of segment 2 are added, -1 belongs nowhere, segments without rows are 0.
    expect(portable.segments).toEqual([10, 20, 0, 0, 101, 202, 0, 0]);
    expect(portable.auto).toBe("fp32");
    expect(portable.bf16).toEqual({ code: "UnsupportedDtype", message: `dtype: expected fp32 on the ${name} backend, found bf16` });
  });

  it.each(["x86-64-v3", "none"])("native with kernels of level %s computes the same", async (level) => {
    const other = await trainOn("native", [], { DIFFUCODER_KERNELS: level });
    expect(other.info.libtensorflow.split("+")[1] ?? "none").toBe(level);
    expect(other.info.slowerByDemand?.startsWith("DIFFUCODER_KERNELS=none demands ") ?? false).toBe(level === "none");
    expect(furthest(other.losses, native.losses) / native.losses[0]!).toBeLessThan(1e-5);
    expect(furthest(other.scale, native.scale)).toBeLessThan(1e-5);
    expect(other.tensorsLeft).toBe(0);
  });

  it("native with XLA computes the same without kernels, and says so in what its bytes depend on", async () => {
    const other = await trainOn("native", [], { DIFFUCODER_XLA: "on" });
    expect(other.info.libtensorflow).toMatch(/^2\.\d+\.\d+\+xla$/);
    expect(furthest(other.losses, native.losses) / native.losses[0]!).toBeLessThan(1e-5);
    expect(furthest(other.scale, native.scale)).toBeLessThan(1e-5);
    await expect(trainOn("native", [], { DIFFUCODER_XLA: "on", DIFFUCODER_KERNELS: "x86-64-v3" })).rejects.toThrow(/DIFFUCODER_KERNELS: expected none with XLA, found x86-64-v3/);
  });

  it("does not go on without the GPU that was asked for", async () => {
    const refusal = trainOn(undefined, [], { DIFFUCODER_DEVICE: "gpu:99" });
    await expect(refusal).rejects.toThrow("native backend: expected GPU 99, found none that libtensorflow can use (DIFFUCODER_DEVICE=cpu does without one). Run `npm run setup`.");
    await expect(refusal).rejects.toThrow(/code: .*BackendUnavailable/);
  });

  it("refuses kernels of a level that it does not know", async () => {
    await expect(trainOn("native", [], { DIFFUCODER_KERNELS: "x86-64-v9" })).rejects.toThrow(/DIFFUCODER_KERNELS: expected none or a built level that this CPU has .*, found x86-64-v9/);
  });

  it("wasm takes over where the native addon does not load, unless native is demanded", async () => {
    const { info, auto } = await trainOn(undefined, ["--no-addons"]);
    expect(auto).toBe("fp32");
    expect(info.backend).toBe("wasm");
    expect(info.slowerBecause).toMatch(/^wasm computes, many times slower than the native backend would: Cannot load native addon.*\. Run `npm run setup`\.$/);
    await expect(trainOn("native", ["--no-addons"])).rejects.toThrow(/native backend: Cannot load native addon.*Run `npm run setup`/);
  });

  it("refuses a name it does not know", async () => {
    const refusal = trainOn("metal");
    await expect(refusal).rejects.toThrow("DIFFUCODER_BACKEND: expected native, wasm or cpu, found metal");
    await expect(refusal).rejects.toThrow(/code: .*BackendUnavailable/); // with or without colours
  });
});

it("is loaded once in a process", async () => {
  expect(loadBackend()).toBe(loadBackend());
  await loadBackend();
});

describe("dtype policy", () => {
  it("auto takes bf16 where the processor and the kernels multiply it natively; others are taken at their word", async () => {
    const fastest = ["amx_bf16", "avx512_bf16"].includes(widest) ? "bf16" : "fp32";
    expect((await trainOn("native", [], { DIFFUCODER_KERNELS: "none" })).auto).toBe(fastest);
    expect((await trainOn("native", [], { DIFFUCODER_KERNELS: "x86-64-v3" })).auto).toBe("fp32");
    expect(resolveDtype("fp32")).toBe("fp32");
    expect(resolveDtype("bf16")).toBe("bf16");
  });
});
