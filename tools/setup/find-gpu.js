import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "./steps.js";

/**
 * What shows that this machine has an NVIDIA GPU, in words; undefined when nothing does.
 *
 * @param {string} [root] folder that the system's paths start from
 */
export function findGpu(root = "/") {
  const gpus = namesIn(join(root, "proc/driver/nvidia/gpus")); // one for each that the kernel's driver has
  if (gpus.length > 0) return `the driver lists ${gpus.join(", ")}`;
  const devices = namesIn(join(root, "dev")).filter((name) => /^nvidia\d+$/.test(name)); // all that some containers show
  if (devices.length > 0) return `there is ${devices.map((name) => `/dev/${name}`).join(", ")}`;
  const listed = spawnSync("nvidia-smi", ["-L"], { encoding: "utf8", timeout: 20_000 }).stdout?.match(/^GPU \d+: [^(\n]*[^(\s]/gm);
  return listed ? `nvidia-smi lists ${listed.join(", ")}` : undefined;
}

function namesIn(folder) {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

let wanted;

/** Whether the build for GPUs is to be set up: where one is seen and not hidden, unless `DIFFUCODER_DEVICE` demands it (`gpu`, `gpu:N`) or not (`cpu`). */
export function wantsGpu() {
  wanted ??= decide(process.env.DIFFUCODER_DEVICE || "auto");
  return wanted;
}

function decide(device) {
  // As the engine reads it: an empty or negative first one hides all.
  const areHidden = /^(-\d+)?$/.test((process.env.CUDA_VISIBLE_DEVICES ?? "0").split(",")[0].trim());
  if (device === "auto") return !areHidden && findGpu() !== undefined;
  if (/^(cpu|gpu(:\d+)?)$/.test(device)) return device !== "cpu";
  throw new SetupError(`DIFFUCODER_DEVICE: expected auto, cpu, gpu or gpu:N, found ${device}`, "unset DIFFUCODER_DEVICE");
}
