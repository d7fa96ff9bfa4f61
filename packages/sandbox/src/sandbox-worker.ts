import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { ChecksInvalid, SandboxFault, SandboxUnavailable } from "./errors.ts";
import type { SandboxTools } from "./find-tools.ts";
import { fixFor, hasManyUsers } from "./namespaces.ts";
import type { SandboxJob, SandboxLimits, Verdict } from "./verdict.ts";

const INSIDE = join(import.meta.dirname, "inside");

/** Files beside the sources that verdicts depend on, for a stage's `assets`. */
export const sandboxAssets: readonly string[] = readdirSync(INSIDE)
  .filter((name) => name.endsWith(".py"))
  .sort()
  .map((name) => join(INSIDE, name));

/** The launcher's first line. */
type Greeting = { readonly ready: string } | { readonly unavailable: string };

/** The launcher's answer to a job. */
type Reply =
  | { readonly fault: string }
  | { readonly invalid: string }
  | { readonly status: Verdict["status"]; readonly cause: string; readonly passed: number; readonly wallMs: number; readonly cpuMs: number };

/** One bubblewrap with its launcher; runs one job at a time. */
export class SandboxWorker {
  readonly #process: ChildProcess;
  readonly #stdin: Writable;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  #lastWords = "";

  private constructor(tools: SandboxTools) {
    // Opened here: an unprivileged user need not be able to read this folder.
    const sources = sandboxAssets.map((path) => openSync(path, "r"));
    try {
      this.#process = spawn(tools.bubblewrap, argumentsOf(tools), {
        stdio: ["pipe", "pipe", "pipe", ...sources],
        env: {}, // what is not there cannot leak
        cwd: "/",
        // As root, give up everything before bubblewrap starts; otherwise the user is unprivileged already.
        ...(isRoot && hasManyUsers() ? { uid: NOBODY, gid: NOBODY } : {}),
      });
    } finally {
      sources.forEach((descriptor) => closeSync(descriptor));
    }
    const [stdin, stdout, stderr] = this.#process.stdio as unknown as [Writable, Readable, Readable];
    stderr.setEncoding("utf8").on("data", (text: string) => (this.#lastWords = (this.#lastWords + text).slice(-2000)));
    stdin.on("error", () => {}); // a worker that died shows as a missing answer
    this.#process.on("error", (error) => (this.#lastWords = error.message));
    this.#stdin = stdin;
    this.#reader = createInterface({ input: stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** @throws SandboxUnavailable with what bubblewrap or the first test in it said */
  static async start(tools: SandboxTools): Promise<SandboxWorker> {
    const worker = new SandboxWorker(tools);
    const line = await worker.#nextLine(START_MS);
    const greeting = line === undefined ? undefined : (JSON.parse(line) as Greeting);
    if (greeting !== undefined && "ready" in greeting) return worker;
    await worker.close();
    const words = greeting?.unavailable ?? worker.#lastWords.trim().slice(-300);
    throw new SandboxUnavailable(`bwrap that does not start (${words})`, fixFor(words));
  }

  /** @throws SandboxFault after which the worker is of no more use; ChecksInvalid */
  async run({ candidate, checks, entryPoints, classes = [] }: SandboxJob, limits: SandboxLimits): Promise<Verdict> {
    this.#stdin.write(`${JSON.stringify({ candidate, checks, entryPoints, classes, limits })}\n`);
    // The launcher enforces the limit itself; this is for a launcher that hangs.
    const line = await this.#nextLine(limits.wallMs + GRACE_MS);
    if (line === undefined) throw new SandboxFault(`no answer (${this.#lastWords.trim().slice(-300)})`);
    const reply = JSON.parse(line) as Reply;
    if ("fault" in reply) throw new SandboxFault(reply.fault);
    if ("invalid" in reply) throw new ChecksInvalid(reply.invalid);
    const { status, cause, passed, wallMs, cpuMs } = reply;
    return { status, cause, passedChecks: passed, totalChecks: checks.length, wallMs, cpuMs };
  }

  async close(): Promise<void> {
    this.#reader.close();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null || this.#process.pid === undefined) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL"); // takes its process namespace with it
    await ended;
  }

  /** Undefined when the launcher has ended or has been silent for too long. */
  async #nextLine(ms: number): Promise<string | undefined> {
    const { promise: silence, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, ms, undefined);
    const line = await Promise.race([this.#lines.next(), silence]);
    clearTimeout(timer);
    return line === undefined || line.done === true ? undefined : line.value;
  }
}

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
const START_MS = 20_000;
const GRACE_MS = 5_000;

function argumentsOf({ python, packages }: SandboxTools): string[] {
  // Distributions with a merged /usr have links here, older ones folders.
  const systemFolders = ["/bin", "/lib", "/lib64"].filter((path) => existsSync(path)).flatMap((path) => ["--ro-bind", path, path]);
  return [
    "--unshare-all",
    ...(isRoot && !hasManyUsers() ? ["--unshare-user", "--uid", String(NOBODY), "--gid", String(NOBODY)] : []),
    "--die-with-parent",
    "--new-session",
    ...["--cap-drop", "ALL"],
    ...["--ro-bind", "/usr", "/usr"],
    ...systemFolders,
    ...(packages === undefined ? [] : ["--ro-bind", resolve(packages), "/packages"]),
    ...["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp"],
    ...sandboxAssets.flatMap((path, i) => ["--file", String(FIRST_SOURCE + i), `/sandbox/inside/${basename(path)}`]),
    ...["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"],
    ...["--setenv", "PYTHONHASHSEED", "0", "--setenv", "PYTHONPATH", "/sandbox"],
    ...["--", python, "-s", "-S", "-B", "-m", "inside.launcher"],
  ];
}

/** Descriptors behind stdin, stdout and stderr. */
const FIRST_SOURCE = 3;
