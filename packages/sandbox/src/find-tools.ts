import { execFile } from "node:child_process";
import { access, constants, realpath } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { SandboxUnavailable } from "./errors.ts";

export interface SandboxTools {
  readonly bubblewrap: string;
  /** A Python that an unprivileged user can run. */
  readonly python: string;
  /** See `SandboxOptions`. */
  readonly packages?: string | undefined;
}

/** @throws SandboxUnavailable naming what is missing and how to get it */
export async function findTools(path = process.env.PATH ?? ""): Promise<SandboxTools> {
  const bubblewrap = await firstExecutable(path.split(delimiter).map((directory) => join(directory, "bwrap")));
  if (bubblewrap === undefined) throw new SandboxUnavailable("no bwrap on the PATH", "Install it: `sudo apt-get install bubblewrap`.");
  // The sandbox shows /usr only, so that a Python of a home folder would be of no use there.
  const python = await firstExecutable(["/usr/bin/python3", "/usr/local/bin/python3"]);
  if (python === undefined) throw new SandboxUnavailable("no python3 below /usr", "Install it: `sudo apt-get install python3`.");
  return { bubblewrap, python };
}

async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isExecutable) return realpath(path);
  }
  return undefined;
}

/** Version of a tool, for reports. */
export async function versionOf(tool: string): Promise<string> {
  const { stdout } = await promisify(execFile)(tool, ["--version"]);
  return stdout.trim();
}
