import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describeSystemError, sha256 } from "@diffucoder/lineage";
import type { BenchmarkTask, PromptStyle } from "./benchmark-task.ts";
import { bigCodeBenchTask } from "./bigcodebench.ts";
import { TasksError } from "./errors.ts";
import { evalPlusTask } from "./evalplus.ts";
import { humanEvalTask } from "./humaneval.ts";
import { readJsonRows, type JsonRow } from "./json-rows.ts";
import { mbppTask } from "./mbpp.ts";

export const BENCHMARKS = ["humaneval", "humaneval+", "mbpp", "mbpp+", "bigcodebench", "bigcodebench-hard"] as const;

export type BenchmarkName = (typeof BENCHMARKS)[number];

export interface Benchmark {
  readonly name: BenchmarkName;
  readonly path: string;
  readonly sha256: string;
  /** As `evalplus` names a data set in its results: md5 of the unpacked file. */
  readonly md5: string;
  readonly tasks: readonly BenchmarkTask[];
}

interface BenchmarkKind {
  /** Names that the file has where it is published, the likeliest first. */
  readonly files: readonly RegExp[];
  readonly taskOf: (row: JsonRow) => BenchmarkTask;
  /** Style of the paper's prompt when none is asked for. */
  readonly style: PromptStyle;
}

const EVALPLUS = { humaneval: /^HumanEvalPlus.*\.jsonl(\.gz)?$/i, mbpp: /^MbppPlus.*\.jsonl(\.gz)?$/i };

const KINDS: Readonly<Record<BenchmarkName, BenchmarkKind>> = {
  humaneval: {
    files: [/^HumanEval\.jsonl(\.gz)?$/i, /^example_problem\.jsonl$/, EVALPLUS.humaneval],
    taskOf: (row) => (isEvalPlus(row) ? evalPlusTask(row, "base") : humanEvalTask(row)),
    style: "complete",
  },
  "humaneval+": { files: [EVALPLUS.humaneval], taskOf: (row) => evalPlusTask(row, "plus"), style: "complete" },
  mbpp: {
    files: [/^mbpp\.jsonl(\.gz)?$/i, /^sanitized-mbpp\.json$/i, EVALPLUS.mbpp],
    taskOf: (row) => (isEvalPlus(row) ? evalPlusTask(row, "base") : mbppTask(row)),
    style: "instruct",
  },
  "mbpp+": { files: [EVALPLUS.mbpp], taskOf: (row) => evalPlusTask(row, "plus"), style: "instruct" },
  bigcodebench: { files: [/^BigCodeBench(?!.*(hard|annotation)).*\.jsonl(\.gz)?$/i], taskOf: bigCodeBenchTask, style: "complete" },
  "bigcodebench-hard": { files: [/^BigCodeBench.*hard.*\.jsonl(\.gz)?$/i], taskOf: bigCodeBenchTask, style: "complete" },
};

function isEvalPlus({ value }: JsonRow): boolean {
  return typeof value === "object" && value !== null && "plus_input" in value;
}

/** Style of the paper's prompt for a benchmark. */
export function promptStyleOf(name: BenchmarkName): PromptStyle {
  return KINDS[name].style;
}

/**
 * Reads a benchmark from its file, or from a folder that holds it under the name it is published with.
 *
 * @param taskIds choose among several files of a folder: the first one that has all of them, else the first one
 * @throws TasksError `BenchmarkMissing`, or `BenchmarkCorrupt` naming file and line
 */
export async function readBenchmark(name: BenchmarkName, path: string, taskIds: readonly string[] = []): Promise<Benchmark> {
  let first: Benchmark | undefined;
  for (const file of await filesOf(name, path)) {
    const benchmark = await readFileOf(name, file);
    if (taskIds.every((id) => findTask(benchmark, id) !== undefined)) return benchmark;
    first ??= benchmark;
  }
  if (first === undefined) throw new TasksError("BenchmarkMissing", `${path}: expected a file of ${name}, such as ${KINDS[name].files.map(({ source }) => source).join(" or ")}, found none. Give the file itself, or a folder that holds it.`);
  return first;
}

async function readFileOf(name: BenchmarkName, path: string): Promise<Benchmark> {
  const rows = await readJsonRows(path, { missing: "BenchmarkMissing", corrupt: "BenchmarkCorrupt" });
  if (rows.length === 0) throw new TasksError("BenchmarkCorrupt", `${path}: expected tasks, found none`);
  const tasks = rows.map(KINDS[name].taskOf);
  const seen = new Set<string>();
  tasks.forEach(({ id }, i) => {
    if (seen.has(id)) throw new TasksError("BenchmarkCorrupt", `${rows[i]!.where}: expected each task once, found ${id} again`);
    seen.add(id);
  });
  const content = await readFile(path);
  const md5 = createHash("md5").update(path.endsWith(".gz") ? gunzipSync(content) : content).digest("hex");
  return { name, path, sha256: sha256(content), md5, tasks };
}

/** The path itself, or what a folder and the folders in it hold. */
async function filesOf(name: BenchmarkName, path: string): Promise<string[]> {
  const found = await stat(path).catch((error: unknown) => {
    throw new TasksError("BenchmarkMissing", `${path}: expected a file or folder of ${name}, found ${describeSystemError(error)}`);
  });
  if (!found.isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true });
  const folders = [path, ...entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name))].sort();
  const files = (await Promise.all(folders.map(async (folder) => (await readdir(folder)).sort().map((file) => join(folder, file))))).flat();
  return KINDS[name].files.flatMap((pattern) => files.filter((file) => pattern.test(basename(file))));
}

/** The task of an id. MBPP's tasks go by their number too, as in its own file. */
export function findTask({ tasks }: Benchmark, id: string): BenchmarkTask | undefined {
  const name = id.replace(/^(mbpp\/)?(?=\d+$)/i, "Mbpp/");
  return tasks.find((task) => task.id === id || task.id === name);
}
