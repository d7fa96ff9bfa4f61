import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { EngineError } from "./errors.ts";
import { nativeBackend, type OpAttribute } from "./native-backend.ts";

/** The C++ sources of this project's own operations. Set-up builds them into `build/<digest of the sources>/`. */
const SOURCES = join(import.meta.dirname, "..", "native");

export const nativeKernelSources: readonly string[] = readdirSync(SOURCES)
  .filter((name) => name !== "build")
  .sort()
  .map((name) => join(SOURCES, name));

/** Instruction sets that the operations are built for, in the compiler's words. */
const LEVELS = ["x86-64-v3", "x86-64-v4"] as const;

let loadedLevel: (typeof LEVELS)[number] | undefined;
let hasMatrixTiles = false;

/**
 * Loads the operations into libtensorflow, in the widest instruction set that the CPU has. Without them (not built, or an
 * older CPU) the same formulas run as TensorFlow's own operations.
 *
 * @param demanded one of the levels, or `none` for TensorFlow's own operations
 * @returns why this CPU does without operations that it could have, and nobody asked for that
 * @throws EngineError `BackendUnavailable` when a demanded level cannot be had
 */
export function loadNativeKernels(instructionSet: string, demanded: string | undefined, builds = join(SOURCES, "build")): string | undefined {
  if (demanded === "none") return undefined;
  const widest = /avx512|amx/.test(instructionSet) ? 1 : instructionSet === "avx2" ? 0 : -1;
  const level = LEVELS.slice(0, widest + 1).findLast((name) => demanded === undefined || demanded === name);
  const path = join(builds, digestOfSources(), `${level}.node`);
  if (level !== undefined && existsSync(path)) {
    const addon = { exports: { hasMatrixTiles } };
    process.dlopen(addon, path);
    hasMatrixTiles = addon.exports.hasMatrixTiles;
    loadedLevel = level;
    return undefined;
  }
  if (demanded !== undefined) {
    throw new EngineError("BackendUnavailable", `DIFFUCODER_KERNELS: expected none or a built level that this CPU has (${LEVELS.join(", ")}), found ${demanded}`);
  }
  return level === undefined ? undefined : `TensorFlow's operations run in place of this project's own: expected those built from their present sources at ${path}, found none`;
}

/** As set-up computes it (tools/setup/native-kernels.js). */
function digestOfSources(): string {
  const hash = createHash("sha256");
  for (const path of nativeKernelSources) hash.update(readFileSync(path));
  return hash.digest("hex").slice(0, 16);
}

/** The level in use, if any. */
export const nativeKernelLevel = (): string | undefined => loadedLevel;

/** Whether the operations in use would multiply by AMX, but may not: `DIFFUCODER_AMX` is off, or the system does not let them. */
export const doWithoutAmx = (): boolean => loadedLevel === "x86-64-v4" && !hasMatrixTiles;

export function hasNativeKernels(): boolean {
  return loadedLevel !== undefined && tf.getBackend() === "tensorflow";
}

/** Runs one of this project's operations on the native backend; the caller owns the outputs. */
export function runNativeKernel(
  operation: string,
  inputs: readonly tf.Tensor[],
  outputs: number,
  attributes: { readonly integers?: Readonly<Record<string, number>>; readonly reals?: Readonly<Record<string, number>> } = {},
): tf.Tensor[] {
  const list = (type: number, values: Readonly<Record<string, number>> = {}): OpAttribute[] => Object.entries(values).map(([name, value]) => ({ name, type, value }));
  return nativeBackend().executeMultipleOutputs(operation, [...list(INTEGER, attributes.integers), ...list(REAL, attributes.reals)], inputs, outputs);
}

/** Attribute kinds of the C interface (tensorflow/c/tf_attrtype.h). */
const INTEGER = 1;
const REAL = 2;
