import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, run } from "./command.js";
import { findGpu, wantsGpu } from "./find-gpu.js";
import { isServed } from "./libtensorflow.js";
import { ADDON_FOLDER } from "./native-addon.js";
import { SetupError } from "./steps.js";

/** Says that an operation ran on the GPU; lies with the links to the library, and goes with them. The engine looks for it. */
const PROOF = join(ADDON_FOLDER, "deps", "proven-gpu.txt");

/** Where the build for GPUs was taken, it must compute on one. */
export const gpu = {
  name: "GPU",
  megabytes: 1,
  after: ["native addon"],
  check: async () => {
    if (!isServed || !wantsGpu()) return "none";
    return (await readFile(PROOF, "utf8").catch(() => undefined)) === proofText() ? "proven" : undefined;
  },
  run: async () => {
    const { DIFFUCODER_DEVICE: device = "" } = process.env;
    const settings = { ...process.env, DIFFUCODER_DEVICE: device.startsWith("gpu") ? device : "gpu", DIFFUCODER_BACKEND: "native", TF_CPP_MIN_LOG_LEVEL: "0" };
    const node = join(ROOT, "node_modules", ".bin", "node");
    const probe = run(node, ["--conditions=@diffucoder/source", "--input-type=module", "-e", PROBE], { env: settings });
    const said = await probe.catch(({ message }) => {
      const reasons = message.split("\n").filter((line) => /^found: |cuda|driver|libraries/i.test(line) && !line.includes("input-type=module"));
      throw new SetupError(
        `GPU: ${findGpu() ?? "none is seen, but DIFFUCODER_DEVICE asks for one"}; expected a product in bf16 computed there, found none:\n  ${reasons.join("\n  ")}\n` +
          "  The driver's library is libcuda.so.1, of version 525 or newer; a container must be started with its GPUs (docker run --gpus all).",
        "DIFFUCODER_DEVICE=cpu npm run setup",
      );
    });
    await writeFile(PROOF, proofText());
    return `computed on ${said.trim().split("\n").at(-1)}`;
  },
};

const proofText = () => `${findGpu()}\n`;

const PROBE = `
import { backendInfo, proveGpu } from "@diffucoder/engine";
try {
  await proveGpu();
  console.log((await backendInfo()).instructionSet);
} catch (error) {
  console.log("found: " + error.message);
  process.exit(1);
}
`;
