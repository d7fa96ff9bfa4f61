import { join } from "node:path";
import { cacheFolder } from "./cache.js";
import { isThere } from "./command.js";
import { wantsGpu } from "./find-gpu.js";
import { SetupError } from "./steps.js";
import { CPU_WHEELS, GPU_WHEELS, TENSORFLOW_VERSION } from "./tensorflow-wheels.js";
import { unpackWheels } from "./wheels.js";

export const isServed = process.platform === "linux" && process.arch === "x64";
const FALLBACK = "none for this platform; the wasm backend is used, which is much slower";

const build = () => (wantsGpu() ? { name: "tensorflow", wheels: GPU_WHEELS } : { name: "tensorflow-cpu", wheels: CPU_WHEELS });

/** Where a build is unpacked: `tensorflow/`, and for GPUs `nvidia/` beside it. */
const buildFolder = () => join(cacheFolder(), "libtensorflow", `${build().name}-${TENSORFLOW_VERSION}`);

/** Folder with `libtensorflow_cc.so.2`, `libtensorflow_framework.so.2` and `include`. */
export const libraryFolder = () => process.env.DIFFUCODER_LIBTENSORFLOW || join(buildFolder(), "tensorflow");

/** libtensorflow: a folder named in the environment, the cache, or wheels through pip; for GPUs where one is seen. */
export const libtensorflow = {
  name: "libtensorflow",
  get megabytes() {
    return wantsGpu() ? 4700 : 1200;
  },
  after: [],
  check: async () => {
    if (!isServed) return FALLBACK;
    return (await isThere(join(libraryFolder(), "libtensorflow_cc.so.2"))) ? TENSORFLOW_VERSION : undefined;
  },
  run: async () => {
    if (process.env.DIFFUCODER_LIBTENSORFLOW) {
      throw new SetupError(`DIFFUCODER_LIBTENSORFLOW: expected libtensorflow_cc.so.2 in ${libraryFolder()}, found none`, "unset DIFFUCODER_LIBTENSORFLOW");
    }
    const { wheels } = build();
    if (await unpackWheels(wheels, buildFolder())) return `${TENSORFLOW_VERSION} from ${wheels.length === 1 ? "its wheel" : `${wheels.length} wheels`}`;
    if (!wantsGpu()) return "none to be had (no network?); the wasm backend is used, which is much slower";
    throw new SetupError("libtensorflow for GPUs: expected its wheels and CUDA's through pip, found them not to be had (no network?)", "DIFFUCODER_DEVICE=cpu npm run setup");
  },
};
