import { spawn } from "node:child_process";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

/** Where runners leave what they found; removed before each run. */
export const RESULTS = join(ROOT, ".vitest");

export interface NxRun {
  readonly exitCode: number;
  readonly output: string;
  /** Each as `project:target`. */
  readonly failedTasks: ReadonlySet<string>;
}

/** Runs nx, with what it prints passed on as it comes when it is to be shown. */
export async function runNx(args: readonly string[], { show = false } = {}): Promise<NxRun> {
  const nx = join(ROOT, "node_modules", "nx", "dist", "bin", "nx.js");
  // nx asks its tasks for colours, wherever they end up.
  const colours = process.stdout.isTTY ? {} : { FORCE_COLOR: "0" };
  const child = spawn(process.execPath, [nx, ...args], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...colours, NX_DAEMON: "false" } });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (show) process.stdout.write(text);
  });
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
  return { exitCode, output, failedTasks: failedTasksIn(output) };
}

/** nx ends what it prints with a list of the tasks that failed. */
export function failedTasksIn(output: string): Set<string> {
  const list = /Failed tasks:\s*\n((?:\s*[-✖] .*\n?)+)/.exec(output)?.[1] ?? "";
  return new Set([...list.matchAll(/[-✖] (\S+:\w+)/g)].map(([, task]) => task!));
}
