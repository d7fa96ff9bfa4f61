import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { cpus, hostname, release, totalmem, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** Where a run took place, for its record. */
export function describeEnvironment(): Record<string, string> {
  return {
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    kernel: release(),
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: String(cpus().length),
  };
}

/** Most memory that a process can have here: the machine's, or less where its control group says so. */
export function machineMemoryBytes(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Infinity); // 0 where it is not known
}

/** Who runs this process, for records of what a person decided. */
export function describeOperator(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch {
    return `${process.geteuid?.() ?? "unknown"}@${hostname()}`; // a user without an entry, as in some containers
  }
}

/** Commit of the checkout that holds `path`, with `+changes` when it is not clean; null outside a checkout. */
export async function describeCommit(path: string): Promise<string | null> {
  const git = async (...args: string[]) => (await promisify(execFile)("git", ["-C", dirname(path), ...args])).stdout.trim();
  try {
    const commit = await git("rev-parse", "HEAD");
    return (await git("status", "--porcelain", "--untracked-files=no")) === "" ? commit : `${commit}+changes`;
  } catch {
    return null; // no git, or installed from a package
  }
}

/** Version in the package.json nearest above `path`. */
export async function packageVersion(path: string): Promise<string> {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    try {
      return (JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string }).version;
    } catch {
      // none here
    }
  }
  return "unknown";
}
