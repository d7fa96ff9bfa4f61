import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import util from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { EngineError } from "./errors.ts";
import { loadNativeKernels, nativeKernelLevel } from "./native-kernels.ts";

/** What computes: libtensorflow through its native addon, or one of the portable backends. */
export type BackendName = "native" | "wasm" | "cpu";

/** What equal bytes depend on besides the inputs. */
export interface BackendInfo {
  readonly backend: BackendName;
  /** Widest instruction set that the kernels can use, such as `avx512_bf16` or `avx2`. */
  readonly instructionSet: string;
  readonly threads: number;
  /** Version of libtensorflow, with the level of this project's own operations where they are loaded (`+x86-64-v4`); or of the portable backend. */
  readonly libtensorflow: string;
}

/** The addon's low-level interface, as far as the recorder and the replay use it. */
export interface Binding {
  TF_Version: string;
  createTensor(shape: readonly number[], dtype: number, values: ArrayBufferView): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(name: string, attributes: readonly OpAttribute[], inputs: readonly number[], outputs: number): TensorHandle[];
  loadSavedModel(directory: string, tag: string): number;
  deleteSavedModel(session: number): void;
  runSavedModel(session: number, inputs: readonly number[], inputNames: string, outputNames: string): TensorHandle[];
}

export interface TensorHandle {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: number;
}

export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** tfjs-node's backend object: members may be swapped, and values wait in it until `getInputTensorIds` uploads them. */
export interface NativeBackend {
  binding: Binding;
  write(values: object, shape: number[], dtype: string): object;
  getInputTensorIds(tensors: readonly tf.Tensor[]): number[];
  executeMultipleOutputs(op: string, attributes: readonly OpAttribute[], inputs: readonly tf.Tensor[], outputs: number): tf.Tensor[];
  readonly isUsingGpuDevice: boolean;
}

let loading: Promise<BackendName> | undefined;

/**
 * Loads the fastest backend that this machine has, once per process, and makes it TensorFlow.js's own.
 * `DIFFUCODER_BACKEND` = `native`, `wasm` or `cpu` demands one; `DIFFUCODER_KERNELS` = `x86-64-v3`, `x86-64-v4` or `none`
 * demands a level of this project's own operations.
 *
 * @throws EngineError `BackendUnavailable` when a demanded backend cannot be loaded
 */
export function loadBackend(): Promise<BackendName> {
  loading ??= load(process.env.DIFFUCODER_BACKEND);
  return loading;
}

/** Loads the backend if need be and describes it. */
export async function backendInfo(): Promise<BackendInfo> {
  const backend = await loadBackend();
  const kernels = nativeKernelLevel();
  return {
    backend,
    instructionSet: instructionSet(),
    threads: backend === "native" ? Number(process.env.TF_NUM_INTRAOP_THREADS) : 1,
    libtensorflow: backend === "native" ? `${nativeBackend().binding.TF_Version}${kernels === undefined ? "" : `+${kernels}`}` : `tfjs-${backend}-${tf.version_core}`,
  };
}

/** Resolves a dtype policy: bf16 pays only where the CPU multiplies it natively (elsewhere it is 100 times slower). */
export function resolveDtype(policy: "auto" | "fp32" | "bf16"): "fp32" | "bf16" {
  if (policy !== "auto") return policy;
  return /bf16|amx/.test(instructionSet()) ? "bf16" : "fp32";
}

export function nativeBackend(): NativeBackend {
  return tf.backend() as unknown as NativeBackend;
}

async function load(demanded: string | undefined): Promise<BackendName> {
  if (demanded !== undefined && !["native", "wasm", "cpu"].includes(demanded)) {
    throw new EngineError("BackendUnavailable", `DIFFUCODER_BACKEND: expected native, wasm or cpu, found ${demanded}`);
  }
  if (demanded === undefined || demanded === "native") {
    const failure = loadNative();
    if (failure === undefined) return "native";
    if (demanded === "native") {
      throw new EngineError("BackendUnavailable", `native backend: ${failure}. Run \`npm run setup\`.`);
    }
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

function loadNative(): string | undefined {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
  process.env.TF_NUM_INTRAOP_THREADS ??= String(availableParallelism());
  // With more, independent operations run beside each other (same bits), but the process crashes now and then.
  process.env.TF_NUM_INTEROP_THREADS ??= "1";
  // tfjs-node 4.22 calls a helper that Node 23 removed, and a deprecated one (fixed upstream in #8425, never released).
  const legacy = util as unknown as Record<string, unknown>;
  legacy.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  legacy.isArray = Array.isArray;
  try {
    createRequire(import.meta.url)("@tensorflow/tfjs-node-gpu");
  } catch (error) {
    return (error as Error).message.split("\n")[0]!;
  }
  if (!nativeBackend().isUsingGpuDevice) loadNativeKernels(instructionSet(), process.env.DIFFUCODER_KERNELS); // they are for CPUs
  return undefined;
}

function instructionSet(): string {
  const flags = new Set(readCpuFlags());
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
