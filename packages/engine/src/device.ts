import { spawnSync } from "node:child_process";
import { EngineError } from "./errors.ts";

/** Where and how libtensorflow computes. Each setting is a variable of the environment, as in `deviceSettings`. */
export interface DeviceSettings {
  /** `auto` is what set-up found: the first visible GPU where one has computed, else the CPU. */
  readonly device: "auto" | "cpu" | "gpu" | `gpu:${number}`;
  /** Of the GPU: take what is needed, as it is needed, or `all` at once, which fragments less. */
  readonly gpuMemory: "grow" | "all";
  /** Whether XLA compiles clusters of operations. */
  readonly xla: "off" | "on";
  /** Whether this project's own operations may multiply bf16 by AMX; read there by the operations themselves. */
  readonly amx: "on" | "off";
}

/**
 * `DIFFUCODER_DEVICE` = `auto`, `cpu`, `gpu` or `gpu:N` (N as nvidia-smi counts), `DIFFUCODER_GPU_MEMORY` = `grow` or `all`,
 * `DIFFUCODER_XLA` = `off` or `on`, `DIFFUCODER_AMX` = `on` or `off`; the first of each unless given.
 *
 * @throws EngineError `WrongSetting`
 */
export function deviceSettings(environment: NodeJS.ProcessEnv): DeviceSettings {
  const setting = (name: string, values: readonly string[], isKnown = (value: string) => values.includes(value)): string => {
    const found = environment[name] || values[0]!;
    if (isKnown(found)) return found;
    throw new EngineError("WrongSetting", `${name}: expected ${values.slice(0, -1).join(", ")} or ${values.at(-1)!}, found ${found}`);
  };
  const settings = {
    device: setting("DIFFUCODER_DEVICE", ["auto", "cpu", "gpu", "gpu:N"], (value) => /^(auto|cpu|gpu(:\d+)?)$/.test(value)),
    gpuMemory: setting("DIFFUCODER_GPU_MEMORY", ["grow", "all"]),
    xla: setting("DIFFUCODER_XLA", ["off", "on"]),
    amx: setting("DIFFUCODER_AMX", ["on", "off"]),
  } as DeviceSettings;
  if (settings.xla === "off" && /auto_jit/.test(environment.TF_XLA_FLAGS ?? "")) {
    throw new EngineError("WrongSetting", "TF_XLA_FLAGS: expected no auto_jit in it, found it. Set DIFFUCODER_XLA=on instead: this project's own operations do not go with XLA.");
  }
  return settings;
}

/**
 * The GPU that the settings mean, as CUDA names it; undefined for the CPU. An empty or negative `CUDA_VISIBLE_DEVICES` hides all.
 *
 * @throws EngineError `WrongSetting` when one is asked for, and all are hidden
 */
export function chosenGpu({ device }: DeviceSettings, environment: NodeJS.ProcessEnv, hasProvenGpu: boolean): string | undefined {
  const visible = environment.CUDA_VISIBLE_DEVICES?.split(",")[0] ?? "0";
  const areHidden = /^(-\d+)?$/.test(visible.trim());
  if (device === "cpu" || (device === "auto" && (areHidden || !hasProvenGpu))) return undefined;
  const [, named] = device.split(":");
  if (named === undefined && areHidden) throw new EngineError("WrongSetting", `CUDA_VISIBLE_DEVICES: expected a GPU for DIFFUCODER_DEVICE=gpu, found all hidden (${JSON.stringify(visible)}). Unset it, or name a GPU: gpu:N.`);
  return named ?? visible;
}

/** What libtensorflow, CUDA and XLA must find in the environment before they are loaded. */
export function deviceEnvironment({ gpuMemory, xla }: DeviceSettings, gpu: string | undefined, xlaFlags = ""): Record<string, string> {
  const flags = xla === "on" ? { TF_XLA_FLAGS: [...new Set([...xlaFlags.split(" "), "--tf_xla_auto_jit=2", "--tf_xla_cpu_global_jit"])].join(" ").trim() } : {};
  if (gpu === undefined) return { CUDA_VISIBLE_DEVICES: "-1", ...flags };
  return {
    // One: the addon takes the last that it sees, a session the first.
    CUDA_VISIBLE_DEVICES: gpu,
    CUDA_DEVICE_ORDER: "PCI_BUS_ID",
    TF_FORCE_GPU_ALLOW_GROWTH: String(gpuMemory === "grow"),
    // Equal bytes for equal calls, and fp32 that is fp32.
    TF_DETERMINISTIC_OPS: "1",
    NVIDIA_TF32_OVERRIDE: "0",
    // Kernels that the driver compiles at first use are kept: the default's 1 GiB may not hold them.
    CUDA_CACHE_MAXSIZE: String(2 ** 32 - 1),
    ...flags,
  };
}

/** What bytes from a GPU depend on, and whether it multiplies bf16 natively (from Ampere on). Unknown without nvidia-smi. */
export function describeGpu(gpu: string): { readonly description: string; readonly isFastInBf16: boolean } {
  const { stdout } = spawnSync("nvidia-smi", ["-i", gpu, "--query-gpu=compute_cap,name,driver_version", "--format=csv,noheader"], { encoding: "utf8", timeout: 20_000 });
  const [capability, name, driver] = stdout?.trim().split(", ") ?? [];
  if (driver === undefined) return { description: "gpu", isFastInBf16: false };
  return { description: `sm_${capability!.replace(".", "")}, ${name}, driver ${driver}`, isFastInBf16: Number(capability) >= 8 };
}
