import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { SandboxFault, SandboxUnavailable } from "./errors.ts";
import type { SandboxTools } from "./find-tools.ts";
import type { SandboxJob, SandboxLimits, Verdict } from "./verdict.ts";

const LAUNCHER = join(import.meta.dirname, "launcher.py");

/** Files beside the sources that verdicts depend on, for a stage's `assets`. */
export const sandboxAssets: readonly string[] = [LAUNCHER];

/** The launcher's answer to a job. */
type Reply =
  | { readonly fault: string }
  | { readonly status: Verdict["status"]; readonly cause: string; readonly passed: number; readonly total: number; readonly wallMs: number; readonly cpuMs: number };

/** One bubblewrap with its launcher; runs one job at a time. */
export class SandboxWorker {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  #lastWords = "";

  private constructor(tools: SandboxTools) {
    this.#process = spawn(tools.bubblewrap, argumentsOf(tools), {
      stdio: ["pipe", "pipe", "pipe"],
      env: {}, // what is not there cannot leak
      cwd: "/",
      // As root, give up everything before bubblewrap starts; otherwise the user is unprivileged already.
      ...(process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => (this.#lastWords = (this.#lastWords + text).slice(-2000)));
    this.#process.stdin.on("error", () => {}); // a worker that died shows as a missing answer
    this.#process.on("error", (error) => (this.#lastWords = error.message));
    this.#reader = createInterface({ input: this.#process.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** @throws SandboxUnavailable with what bubblewrap said */
  static async start(tools: SandboxTools): Promise<SandboxWorker> {
    const worker = new SandboxWorker(tools);
    const { done } = await worker.#lines.next();
    if (done !== true) return worker;
    await worker.close();
    throw new SandboxUnavailable(
      `bwrap that does not start (${worker.#lastWords.trim().slice(-300)})`,
      "Allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`; in a container: `--security-opt seccomp=unconfined`).",
    );
  }

  /** @throws SandboxFault after which the worker is of no more use */
  async run({ candidate, checks, entryPoints }: SandboxJob, limits: SandboxLimits): Promise<Verdict> {
    this.#process.stdin.write(`${JSON.stringify({ candidate, checks, entryPoints, limits })}\n`);
    // The launcher enforces the limit itself; this is for a launcher that hangs.
    const line = await Promise.race([this.#lines.next(), this.#silence(limits.wallMs + GRACE_MS)]);
    if (line === undefined) throw new SandboxFault(`no answer within ${limits.wallMs + GRACE_MS} ms`);
    if (line.done === true) throw new SandboxFault(`a dead launcher (${this.#lastWords.trim().slice(-300)})`);
    const reply = JSON.parse(line.value) as Reply;
    if ("fault" in reply) throw new SandboxFault(reply.fault);
    const { status, cause, passed, total, wallMs, cpuMs } = reply;
    return { status, cause, passedChecks: passed, totalChecks: status === "passed" ? total : checks.length, wallMs, cpuMs };
  }

  async close(): Promise<void> {
    this.#reader.close();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null || this.#process.pid === undefined) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL"); // takes its process namespace with it
    await ended;
  }

  #silence(ms: number): Promise<undefined> {
    return new Promise((resolve) => setTimeout(resolve, ms, undefined).unref());
  }
}

const NOBODY = 65534;
const GRACE_MS = 5_000;

function argumentsOf({ python }: SandboxTools): string[] {
  // Distributions with a merged /usr have links here, older ones folders.
  const systemFolders = ["/bin", "/lib", "/lib64"].filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", path, path]);
  return [
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    ...["--cap-drop", "ALL"],
    ...["--ro-bind", "/usr", "/usr"],
    ...systemFolders,
    ...["--proc", "/proc", "--dev", "/dev", "--size", String(16 << 20), "--tmpfs", "/tmp"],
    ...["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"],
    ...["--setenv", "PYTHONHASHSEED", "0"],
    ...["--", python, "-s", "-S", "-B", "-c", readFileSync(LAUNCHER, "utf8")],
  ];
}
