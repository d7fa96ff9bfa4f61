import { createHash } from "node:crypto";
import { appendFile, readFile, truncate } from "node:fs/promises";
import { z } from "zod";
import type { Benchmark } from "./benchmark.ts";
import { TasksError } from "./errors.ts";
import type { Judgement } from "./score.ts";

const status = z.enum(["passed", "failed", "error", "timeout", "memory", "output-limit", "crashed", "syntax"]);
const suiteVerdict = z.object({ status, cause: z.string() });
const line = z.object({ harness: z.string(), key: z.string(), ...suiteVerdict.shape, suites: z.record(z.string(), suiteVerdict) });

/** Verdicts in a file, a line each, so that work that was stopped goes on where it was. Those of another harness are kept, not used. */
export class VerdictLog {
  /** Verdicts of other harnesses in the file. */
  readonly outdated: number;
  readonly #path: string;
  readonly #harness: string;
  readonly #known: Map<string, Judgement>;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, harness: string, known: Map<string, Judgement>, outdated: number) {
    this.#path = path;
    this.#harness = harness;
    this.#known = known;
    this.outdated = outdated;
  }

  /**
   * Opens a log, or begins one. A last line that was cut off is dropped.
   *
   * @param harness digest of what makes the verdicts, see `harnessDigest`
   * @throws TasksError `LogCorrupt` naming file and line
   */
  static async open(path: string, harness: string): Promise<VerdictLog> {
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return Buffer.alloc(0);
      throw error;
    });
    const whole = content.lastIndexOf("\n") + 1;
    if (whole < content.length) await truncate(path, whole);
    const known = new Map<string, Judgement>();
    let outdated = 0;
    for (const [index, text] of content.subarray(0, whole).toString("utf8").split("\n").slice(0, -1).entries()) {
      const { harness: madeBy, key, ...judgement } = parseLine(text, `${path}:${index + 1}`);
      if (madeBy === harness) known.set(key, judgement);
      else outdated++;
    }
    return new VerdictLog(path, harness, known, outdated);
  }

  /** What a verdict of one harness depends on: the benchmark's bytes, the task and the program. */
  static keyOf({ sha256 }: Pick<Benchmark, "sha256">, taskId: string, program: string): string {
    return createHash("sha256").update(JSON.stringify([sha256, taskId, program])).digest("hex");
  }

  find(key: string): Judgement | undefined {
    return this.#known.get(key);
  }

  /** Lines are whole and in order, however many are added at once. */
  async add(key: string, judgement: Judgement): Promise<void> {
    this.#known.set(key, judgement);
    this.#writing = this.#writing.then(() => appendFile(this.#path, `${JSON.stringify({ harness: this.#harness, key, ...judgement })}\n`));
    await this.#writing;
  }
}

function parseLine(text: string, where: string): z.infer<typeof line> {
  try {
    return line.parse(JSON.parse(text));
  } catch (error) {
    throw new TasksError("LogCorrupt", `${where}: expected a verdict, found ${text.slice(0, 80)} (${error instanceof SyntaxError ? "no JSON" : "other keys"}). Remove the line, or the file to begin anew.`);
  }
}
