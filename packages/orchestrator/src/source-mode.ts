import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Whether the TypeScript sources run as they are (a checkout), not what was compiled from them (an installed package). */
export const runsFromSource = import.meta.url.endsWith(".ts");

/** The condition under which workspace packages resolve to their sources. */
export const SOURCE_CONDITION = "@diffucoder/source";

/** Path of a sibling module of this one, such as `workflows/index`. */
export function siblingModule(name: string): string {
  return fileURLToPath(new URL(`./${name}${runsFromSource ? ".ts" : ".js"}`, import.meta.url));
}

/** Arguments for Node that run a sibling module in the mode that this process runs in. */
export function nodeArguments(module: string): string[] {
  return [...(runsFromSource ? [`--conditions=${SOURCE_CONDITION}`] : []), "--disable-warning=ExperimentalWarning", "--disable-warning=DEP0044", siblingModule(module)];
}

/** Changes whenever a source file of the workspace does; installed packages do not change under a worker. */
export function codeVersion(): string {
  const sources = runsFromSource ? versionOfSources(resolve(import.meta.dirname, "../..")) : "";
  return createHash("sha256").update(`${process.env.DIFFUCODER_STAGES ?? ""}\n${sources}`).digest("hex").slice(0, 16);
}

/**
 * Changes whenever a file does that a stage's code digest may depend on.
 *
 * @param packages folder of the workspace's packages
 */
export function versionOfSources(packages: string): string {
  const hash = createHash("sha256");
  const folders = readdirSync(packages).flatMap((name) => SOURCE_FOLDERS.map((folder) => join(name, folder)));
  for (const folder of folders.filter((name) => existsSync(join(packages, name))).sort()) {
    for (const file of readdirSync(join(packages, folder), { recursive: true, encoding: "utf8" }).sort()) {
      if (NO_SOURCES.test(file)) continue;
      const { size, mtimeMs } = statSync(join(packages, folder, file));
      hash.update(`${folder}/${file} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest("hex");
}

/** Of a package: TypeScript with what lies beside it, and C++. */
const SOURCE_FOLDERS = ["src", "native"];
const NO_SOURCES = /\.test\.ts$|^build(\/|$)/;
