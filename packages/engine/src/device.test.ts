import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { chosenGpu, describeGpu, deviceEnvironment, deviceSettings } from "./device.ts";

describe("settings of the device", () => {
  it("are those of set-up, memory as needed and no XLA, unless the environment says otherwise", () => {
    expect(deviceSettings({ DIFFUCODER_XLA: "" })).toEqual({ device: "auto", gpuMemory: "grow", xla: "off", amx: "on" });
    expect(deviceSettings({ DIFFUCODER_DEVICE: "gpu:12", DIFFUCODER_GPU_MEMORY: "all", DIFFUCODER_XLA: "on", DIFFUCODER_AMX: "off" })).toEqual({ device: "gpu:12", gpuMemory: "all", xla: "on", amx: "off" });
  });

  it.each([
    ["DIFFUCODER_DEVICE", "gpu:", "auto, cpu, gpu or gpu:N"],
    ["DIFFUCODER_DEVICE", "tpu", "auto, cpu, gpu or gpu:N"],
    ["DIFFUCODER_GPU_MEMORY", "some", "grow or all"],
    ["DIFFUCODER_XLA", "1", "off or on"],
    ["DIFFUCODER_AMX", "0", "on or off"],
  ])("%s=%s is refused", (name, value, expected) => {
    expect(() => deviceSettings({ [name]: value })).toThrow(expect.objectContaining({ code: "WrongSetting", message: `${name}: expected ${expected}, found ${value}` }) as Error);
  });

  it("refuse XLA behind this project's back, whose own operations it would break", () => {
    const hidden = { TF_XLA_FLAGS: "--tf_xla_auto_jit=2" };
    expect(() => deviceSettings(hidden)).toThrow("TF_XLA_FLAGS: expected no auto_jit in it, found it. Set DIFFUCODER_XLA=on instead");
    expect(deviceSettings({ ...hidden, DIFFUCODER_XLA: "on" }).xla).toBe("on");
    expect(deviceSettings({ TF_XLA_FLAGS: "--tf_xla_clustering_debug" }).xla).toBe("off");
  });
});

describe("the GPU", () => {
  const gpu = (device: string, environment: NodeJS.ProcessEnv = {}, hasProvenGpu = true) => chosenGpu(deviceSettings({ DIFFUCODER_DEVICE: device }), environment, hasProvenGpu);

  it("is the first visible one where set-up saw one compute, or the one that is named", () => {
    expect(gpu("auto")).toBe("0");
    expect(gpu("auto", { CUDA_VISIBLE_DEVICES: "3,1" })).toBe("3");
    expect(gpu("gpu", { CUDA_VISIBLE_DEVICES: "GPU-ab,GPU-cd" })).toBe("GPU-ab");
    expect(gpu("gpu:2", { CUDA_VISIBLE_DEVICES: "3" })).toBe("2");
    expect(gpu("gpu", {}, false)).toBe("0");
    expect(gpu("auto", {}, false)).toBeUndefined();
    expect(gpu("cpu")).toBeUndefined();
  });

  it.each(["", "-1", "-1,0"])("is none where CUDA_VISIBLE_DEVICES is %j, which hides all from CUDA's programs, unless it is named", (hidden) => {
    const environment = { CUDA_VISIBLE_DEVICES: hidden };
    expect(gpu("auto", environment)).toBeUndefined();
    expect(gpu("gpu:1", environment)).toBe("1");
    expect(() => gpu("gpu", environment)).toThrow(`CUDA_VISIBLE_DEVICES: expected a GPU for DIFFUCODER_DEVICE=gpu, found all hidden ("${hidden.split(",")[0]}"). Unset it, or name a GPU: gpu:N.`);
  });

  it("is the only one that libtensorflow sees; its fp32 is fp32 and its sums keep an order", () => {
    const settings = deviceSettings({});
    expect(deviceEnvironment(settings, "3")).toEqual({
      CUDA_VISIBLE_DEVICES: "3",
      CUDA_DEVICE_ORDER: "PCI_BUS_ID",
      TF_FORCE_GPU_ALLOW_GROWTH: "true",
      TF_DETERMINISTIC_OPS: "1",
      NVIDIA_TF32_OVERRIDE: "0",
      CUDA_CACHE_MAXSIZE: "4294967295",
    });
    expect(deviceEnvironment({ ...settings, gpuMemory: "all" }, "0").TF_FORCE_GPU_ALLOW_GROWTH).toBe("false");
  });

  it("is out of sight for the CPU", () => {
    expect(deviceEnvironment(deviceSettings({}), undefined)).toEqual({ CUDA_VISIBLE_DEVICES: "-1" });
  });

  it("may be compiled for by XLA, whose other flags stay; a child of a child says the same", () => {
    const flags = (given?: string) => deviceEnvironment({ device: "cpu", gpuMemory: "grow", xla: "on", amx: "on" }, undefined, given).TF_XLA_FLAGS;
    expect(flags()).toBe("--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit");
    expect(flags("--tf_xla_clustering_debug")).toBe("--tf_xla_clustering_debug --tf_xla_auto_jit=2 --tf_xla_cpu_global_jit");
    expect(flags(flags())).toBe(flags());
  });
});

describe("what is known of a GPU", () => {
  const folder = mkdtempSync(join(tmpdir(), "nvidia-smi-"));
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A machine whose nvidia-smi answers questions about GPU 1 like this. */
  function answering(line: string): ReturnType<typeof describeGpu> {
    const tool = mkdtempSync(`${folder}-`);
    writeFileSync(join(tool, "nvidia-smi"), `#!/bin/sh\n[ "$*" = "-i 1 --query-gpu=compute_cap,name,driver_version --format=csv,noheader" ] && echo "${line}"\n`);
    chmodSync(join(tool, "nvidia-smi"), 0o755);
    vi.stubEnv("PATH", `${tool}:/bin`);
    const known = describeGpu("1");
    rmSync(tool, { recursive: true });
    return known;
  }

  it("is architecture, name and driver; bf16 is native from Ampere on", () => {
    expect(answering("9.0, NVIDIA H100 80GB HBM3, 550.54.15")).toEqual({ description: "sm_90, NVIDIA H100 80GB HBM3, driver 550.54.15", isFastInBf16: true });
    expect(answering("8.0, NVIDIA A100-SXM4-40GB, 535.1").isFastInBf16).toBe(true);
    expect(answering("12.0, NVIDIA B, 575.1")).toEqual({ description: "sm_120, NVIDIA B, driver 575.1", isFastInBf16: true });
    expect(answering("7.5, Tesla T4, 535.1").isFastInBf16).toBe(false);
  });

  it("is nothing without nvidia-smi, or when it knows nothing", () => {
    expect(answering("No devices were found")).toEqual({ description: "gpu", isFastInBf16: false });
    vi.stubEnv("PATH", folder);
    expect(describeGpu("0")).toEqual({ description: "gpu", isFastInBf16: false });
  });
});
