import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import util from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { chosenGpu, describeGpu, deviceEnvironment, deviceSettings } from "./device.ts";
import { EngineError } from "./errors.ts";
import { nativeBackend } from "./native-backend.ts";
import { doWithoutAmx, loadNativeKernels, nativeKernelLevel } from "./native-kernels.ts";

/** What computes: libtensorflow through its native addon, or one of the portable backends. */
export type BackendName = "native" | "wasm" | "cpu";

/** What equal bytes depend on besides the inputs. */
export interface BackendInfo {
  readonly backend: BackendName;
  /** Widest instruction set that the kernels can use, such as `avx512_bf16` or `avx2`; on a GPU its architecture, name and driver. */
  readonly instructionSet: string;
  readonly threads: number;
  /** Version of libtensorflow, with the level of this project's own operations where they are loaded (`+x86-64-v4`), and `+xla`; or of the portable backend. */
  readonly libtensorflow: string;
  /** Why it is slower than this machine could be, and what helps; absent where it is not, or was asked to be so. */
  readonly slowerBecause?: string;
  /** Which variable of the environment makes it slower than this machine could be, and what that costs. */
  readonly slowerByDemand?: string;
}

let loading: Promise<BackendName> | undefined;
let loaded: BackendName | undefined;
let shortcoming: string | undefined;

/**
 * Loads the fastest backend that this machine has, once per process, and makes it TensorFlow.js's own.
 * `DIFFUCODER_BACKEND` = `native`, `wasm` or `cpu` demands one; `DIFFUCODER_KERNELS` = `x86-64-v3`, `x86-64-v4` or `none`
 * demands a level of this project's own operations, and `DIFFUCODER_AMX` = `off` keeps them from AMX. `DIFFUCODER_DEVICE` and its kin: see `deviceSettings`.
 *
 * @throws EngineError `BackendUnavailable` when a demanded backend or device cannot be had, `WrongSetting`
 */
export function loadBackend(): Promise<BackendName> {
  loading ??= load(process.env.DIFFUCODER_BACKEND).then((backend) => (loaded = backend));
  return loading;
}

/** Loads the backend if need be and describes it. */
export async function backendInfo(): Promise<BackendInfo> {
  const backend = await loadBackend();
  const [isNative, gpu] = [backend === "native", wantedGpu()];
  const marks = [nativeKernelLevel(), deviceSettings(process.env).xla === "on" ? "xla" : undefined].filter((mark) => mark !== undefined);
  return {
    backend,
    instructionSet: isNative && gpu !== undefined ? describeGpu(gpu).description : instructionSet(),
    threads: isNative ? Number(process.env.TF_NUM_INTRAOP_THREADS) : 1,
    libtensorflow: isNative ? [nativeBackend().binding.TF_Version, ...marks].join("+") : `tfjs-${backend}-${tf.version_core}`,
    ...(shortcoming === undefined ? {} : { slowerBecause: `${shortcoming}. Run \`npm run setup\`.` }),
    ...slownessDemanded(process.env),
  };
}

/** Figures: the quickstart's model decoding eight canvases of 128 tokens on two cores (Intel Xeon with AMX). */
function slownessDemanded({ DIFFUCODER_BACKEND: backend, DIFFUCODER_KERNELS: kernels }: NodeJS.ProcessEnv): Pick<BackendInfo, "slowerByDemand"> {
  if (backend === "wasm" || backend === "cpu") {
    const cost = backend === "wasm" ? "about 20 times slower than the native backend" : "even slower than wasm, which is about 20 times slower than the native backend";
    return { slowerByDemand: `DIFFUCODER_BACKEND=${backend} demands it: ${cost}, on one thread and in fp32 alone. Unset it to have the fastest one.` };
  }
  if (kernels !== "none") return {};
  return { slowerByDemand: "DIFFUCODER_KERNELS=none demands TensorFlow's operations in place of this project's own: about half as fast. Unset it to have the fastest ones." };
}

/**
 * Resolves a dtype policy: bf16 pays only where the CPU or GPU multiplies it natively (other CPUs are 100 times slower at it), and
 * kernels for AVX2 do not. The portable backends have fp32 alone.
 */
export function resolveDtype(policy: "auto" | "fp32" | "bf16"): "fp32" | "bf16" {
  if (policy !== "auto") return policy;
  if (["wasm", "cpu"].includes(loaded ?? process.env.DIFFUCODER_BACKEND ?? "native")) return "fp32";
  const gpu = wantedGpu();
  const isFastInBf16 = gpu === undefined ? /bf16|amx/.test(instructionSet()) && nativeKernelLevel() !== "x86-64-v3" : describeGpu(gpu).isFastInBf16;
  return isFastInBf16 ? "bf16" : "fp32";
}

async function load(demanded: string | undefined): Promise<BackendName> {
  if (demanded !== undefined && !["native", "wasm", "cpu"].includes(demanded)) {
    throw new EngineError("BackendUnavailable", `DIFFUCODER_BACKEND: expected native, wasm or cpu, found ${demanded}`);
  }
  if (demanded === undefined || demanded === "native") {
    const gpu = wantedGpu();
    const failure = loadNative(gpu);
    if (failure === undefined) return "native";
    if (demanded === "native" || gpu !== undefined) {
      throw new EngineError("BackendUnavailable", `native backend: ${failure}. Run \`npm run setup\`.`);
    }
    shortcoming = `wasm computes, many times slower than the native backend would: ${failure}`;
  }
  if (demanded === "cpu") {
    await import("@tensorflow/tfjs");
    await tf.setBackend("cpu");
    return "cpu";
  }
  const { installWasmKernels } = await import("./wasm-kernels.ts");
  await installWasmKernels();
  return "wasm";
}

function loadNative(gpu: string | undefined): string | undefined {
  const settings = deviceSettings(process.env);
  Object.assign(process.env, deviceEnvironment(settings, gpu, process.env.TF_XLA_FLAGS));
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
  process.env.TF_NUM_INTRAOP_THREADS ??= String(availableParallelism());
  // With more, independent operations run beside each other (same bits), but the process crashes now and then.
  process.env.TF_NUM_INTEROP_THREADS ??= "1";
  // tfjs-node 4.22 calls a helper that Node 23 removed, and a deprecated one (fixed upstream in #8425, never released).
  const legacy = util as unknown as Record<string, unknown>;
  legacy.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  legacy.isArray = Array.isArray;
  try {
    createRequire(import.meta.url)(ADDON);
  } catch (error) {
    return (error as Error).message.split("\n")[0]!;
  }
  if (gpu !== undefined && !nativeBackend().isUsingGpuDevice) return `expected GPU ${gpu}, found none that libtensorflow can use (DIFFUCODER_DEVICE=cpu does without one)`;
  shortcoming = loadNativeKernels(instructionSet(), kernelsFor(gpu !== undefined ? "a GPU" : settings.xla === "on" ? "XLA" : undefined));
  return undefined;
}

/** This project's own operations are for CPUs, and update variables where they lie, which XLA's copies would miss. */
function kernelsFor(stranger: string | undefined): string | undefined {
  const demanded = process.env.DIFFUCODER_KERNELS;
  if (stranger === undefined) return demanded;
  if (demanded === undefined || demanded === "none") return "none";
  throw new EngineError("WrongSetting", `DIFFUCODER_KERNELS: expected none with ${stranger}, found ${demanded}`);
}

const ADDON = "@tensorflow/tfjs-node-gpu";

/** The GPU that this process computes on, as CUDA names it; undefined for the CPU. */
function wantedGpu(): string | undefined {
  return chosenGpu(deviceSettings(process.env), process.env, hasProvenGpu());
}

/** Set-up writes this once an operation has run on a GPU. */
function hasProvenGpu(): boolean {
  try {
    const addon = createRequire(import.meta.url).resolve(`${ADDON}/package.json`);
    return existsSync(join(dirname(addon), "deps", "proven-gpu.txt"));
  } catch {
    return false; // no addon, no native backend
  }
}

function instructionSet(): string {
  const flags = new Set(readCpuFlags());
  if (doWithoutAmx()) flags.delete("amx_bf16");
  const known = ["amx_bf16", "avx512_bf16", "avx512f", "avx2", "avx"];
  return known.find((flag) => flags.has(flag)) ?? process.arch;
}

function readCpuFlags(): string[] {
  try {
    return /^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.trim().split(" ") ?? [];
  } catch {
    return []; // not Linux
  }
}
