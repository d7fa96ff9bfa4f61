// `npm run bench:train [-- SIZE...]`: a training step of this project beside the same step in PyTorch, in alternating turns.
import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { backendInfo, resolveDtype } from "@diffucoder/engine";
import { cacheDirectory } from "@diffucoder/lineage";
import { SIZES, caseOf, type SizeName } from "./cases.ts";

const TORCH = "2.15.0";
const TURNS = 7;
/** Each side's turn lasts about so long. */
const TURN_MS = 1500;
const WARM_UP_STEPS = 5;

const sizes = process.argv.length > 2 ? process.argv.slice(2) : ["quickstart"];
const unknown = sizes.filter((size) => !(size in SIZES));
if (unknown.length > 0) {
  console.error(`sizes: expected some of ${Object.keys(SIZES).join(", ")}, found ${unknown.join(", ")}`);
  process.exit(2);
}
const { threads, libtensorflow, instructionSet } = await backendInfo();
const python = installTorch();
console.log(`${cpus()[0]!.model.trim()} (${instructionSet}), ${threads} threads, libtensorflow ${libtensorflow}, PyTorch ${TORCH}\n`);
for (const size of sizes) await compare(size as SizeName);
process.exit(0);

/** PyTorch in an environment of its own in the cache; it brings 3 GB of libraries along, used or not. */
function installTorch(): string {
  const folder = join(cacheDirectory(), "peers", `torch-${TORCH}`);
  const executable = join(folder, "bin", "python");
  if (!existsSync(join(folder, "installed"))) {
    console.log(`installing PyTorch ${TORCH} into ${folder}, once`);
    execFileSync("python3", ["-m", "venv", folder], { stdio: "inherit" });
    execFileSync(executable, ["-m", "pip", "install", "--quiet", `torch==${TORCH}`, "numpy"], { stdio: "inherit" });
    execFileSync("touch", [join(folder, "installed")]);
  }
  return executable;
}

interface Side {
  readonly name: string;
  readonly run: (steps: number) => Promise<{ ms: number[]; loss: number; peakBytes: number }>;
  readonly end: () => void;
}

async function compare(size: SizeName): Promise<void> {
  const isFastInBf16 = resolveDtype("auto") === "bf16";
  const own = await Promise.all(["fp32", ...(isFastInBf16 ? ["bf16"] : [])].map((variant) => openSide(`ours ${variant}`, process.execPath, ["--conditions=@diffucoder/source", join(import.meta.dirname, "own-step.ts")], size, variant)));
  const torch = await Promise.all(
    ["fp32", ...(isFastInBf16 ? ["bf16"] : [])].flatMap((dtype) => ["eager", "compile"].map((mode) => openSide(`torch ${dtype} ${mode}`, python, [join(import.meta.dirname, "torch_step.py")], size, `${dtype}-${mode}`))),
  );
  const medians = await takeTurns([...own, ...torch]);
  const { batchSize, canvasLength } = SIZES[size];
  console.log(`${size}: ${batchSize * canvasLength} tokens a step, median of ${TURNS} alternating turns`);
  for (const { name, ms, peakBytes } of medians) {
    console.log(`  ${name.padEnd(20)} ${ms.toFixed(1).padStart(8)} ms  ${Math.round((1000 * batchSize * canvasLength) / ms).toString().padStart(8)} tokens/s  ${(peakBytes / 1e6).toFixed(0).padStart(6)} MB`);
  }
  const best = (prefix: string) => medians.filter(({ name }) => name.startsWith(prefix)).reduce((a, b) => (a.ms <= b.ms ? a : b));
  for (const prefix of ["torch fp32", "torch"]) {
    const [ours, theirs] = [best(prefix === "torch" ? "ours" : "ours fp32"), best(prefix)];
    console.log(`  ${ours.name} against ${theirs.name}: ${(theirs.ms / ours.ms).toFixed(2)} times as fast`);
  }
  console.log("");
  for (const side of [...own, ...torch]) side.end();
}

async function openSide(name: string, command: string, args: readonly string[], size: SizeName, variant: string): Promise<Side> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, OMP_NUM_THREADS: String(threads), TF_NUM_INTRAOP_THREADS: String(threads) } });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async <T>(): Promise<T> => {
    const { value, done } = await answers.next();
    if (done === true) throw new Error(`${name}: expected an answer, found that it ended; run \`${[command, ...args].join(" ")}\` to see why`);
    return JSON.parse(value as string) as T;
  };
  child.stdin.write(`${JSON.stringify(caseOf(size, variant, threads))}\n`);
  await answer();
  const run = (steps: number) => {
    child.stdin.write(`run ${steps}\n`);
    return answer<{ ms: number[]; loss: number; peakBytes: number }>();
  };
  return { name, run, end: () => child.kill() };
}

/** All sides wait while one works, so that none disturbs another and slow spells of the machine hit all alike. */
async function takeTurns(sides: readonly Side[]): Promise<{ name: string; ms: number; peakBytes: number }[]> {
  const results = sides.map(({ name }) => ({ name, turns: [] as number[], steps: 0, peakBytes: 0 }));
  for (const [i, side] of sides.entries()) {
    await side.run(WARM_UP_STEPS);
    results[i]!.steps = Math.max(3, Math.round(TURN_MS / median((await side.run(3)).ms)));
  }
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const [i, side] of sides.entries()) {
      const { ms, peakBytes } = await side.run(results[i]!.steps);
      results[i]!.turns.push(median(ms));
      results[i]!.peakBytes = peakBytes;
    }
  }
  return results.map(({ name, turns, peakBytes }) => ({ name, ms: median(turns), peakBytes }));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
