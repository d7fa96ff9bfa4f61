import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/**
 * Runs `work` where the sandbox starts, but dies at its first job, and does so for the first `deaths` starts.
 *
 * A folder is made for each death, because only one process can make it, however many start at once.
 */
export async function withFailingSandbox<T>(deaths: number, work: () => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "failing-sandbox-"));
  await chmod(directory, 0o777); // the sandbox's user makes the folders
  const path = process.env.PATH!;
  const bubblewrap = path.split(delimiter).map((folder) => join(folder, "bwrap")).find(existsSync)!;
  const die = `echo '{"ready":""}'; exit`;
  const mayDie = deaths === Infinity ? die : `for n in ${Array.from({ length: deaths }, (_, n) => n).join(" ")}; do mkdir ${directory}/$n 2> /dev/null && { ${die}; }; done`;
  await writeFile(join(directory, "bwrap"), ["#!/bin/sh", mayDie, `exec ${bubblewrap} "$@"`, ""].join("\n"), { mode: 0o755 });
  return withVariable("PATH", `${directory}${delimiter}${path}`, work).finally(() => rm(directory, { recursive: true }));
}

/** Runs `work` with another value of an environment variable. */
export async function withVariable<T>(name: string, value: string, work: () => Promise<T>): Promise<T> {
  const own = process.env[name];
  process.env[name] = value;
  try {
    return await work();
  } finally {
    if (own === undefined) delete process.env[name];
    else process.env[name] = own;
  }
}
