import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openStore, type Store } from "@diffucoder/lineage";
import { openHome, serverDown, type Home, type PipelineStatus, type StageStatus } from "@diffucoder/orchestrator";

export const ROOT = join(import.meta.dirname, "../..");
export const TINY = join(ROOT, "pipelines/tiny.yaml");

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A project of its own in a temporary folder, driven by the `diffucoder` command as a user would. */
export class Project {
  readonly root: string;
  readonly home: Home;
  /** Changes to the environment of the commands that follow. */
  readonly environment: NodeJS.ProcessEnv = {};

  constructor(root = mkdtempSync(join(tmpdir(), "diffucoder-test-"))) {
    this.root = root;
    this.home = openHome({ env: { DIFFUCODER_HOME: root } });
  }

  store(): Promise<Store> {
    return openStore(this.home.store);
  }

  run(...args: readonly string[]): Promise<CommandResult> {
    const bin = join(ROOT, "packages/cli/bin/diffucoder.js");
    const child = spawn(process.execPath, [bin, ...args], { cwd: ROOT, env: { ...process.env, DIFFUCODER_HOME: this.root, ...this.environment } });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, stdout, stderr }));
    });
  }

  /** Runs a command that has to succeed and prints JSON. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run(...args, "-o", "json");
    if (code !== 0) throw new Error(`diffucoder ${args.join(" ")}: exit code ${code}\n${stderr}`);
    return JSON.parse(stdout) as T;
  }

  async close(): Promise<void> {
    await serverDown(this.home);
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function stageOf(status: PipelineStatus, id: string): StageStatus {
  const stage = status.stages.find((candidate) => candidate.id === id);
  if (stage === undefined) throw new Error(`run ${status.runId}: no stage ${id}`);
  return stage;
}

/** Digest of every artifact of a run, by stage and output: what has to be the same after a fault. */
export function digestsOf({ stages }: PipelineStatus): Record<string, string> {
  return Object.fromEntries(stages.flatMap(({ id, outputs }) => Object.entries(outputs).map(([output, { digest }]) => [`${id}.${output}`, digest])));
}

export async function until<T>(what: string, find: () => T | undefined | Promise<T | undefined>, limitMs = 60_000): Promise<T> {
  for (const deadline = Date.now() + limitMs; Date.now() < deadline; await sleep(10)) {
    const found = await find();
    if (found !== undefined) return found;
  }
  throw new Error(`expected ${what} within ${limitMs} ms`);
}
