// `npm run bench:train [-- SIZE...]`: a training step of this project beside the same step in PyTorch, in alternating turns.
import { cpus } from "node:os";
import { join } from "node:path";
import { backendInfo, resolveDtype } from "@diffucoder/engine";
import { TURNS, openSide, takeTurns } from "../sides.ts";
import { TORCH, installTorch } from "../torch.ts";
import { SIZES, caseOf, type SizeName } from "./cases.ts";

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

async function compare(size: SizeName): Promise<void> {
  const isFastInBf16 = resolveDtype("auto") === "bf16";
  const own = await Promise.all(["fp32", ...(isFastInBf16 ? ["bf16"] : [])].map((variant) => openSide(`ours ${variant}`, process.execPath, ["--conditions=@diffucoder/source", join(import.meta.dirname, "own-step.ts")], { task: caseOf(size, variant, threads), threads })));
  const torch = await Promise.all(
    ["fp32", ...(isFastInBf16 ? ["bf16"] : [])].flatMap((dtype) => ["eager", "compile"].map((mode) => openSide(`torch ${dtype} ${mode}`, python, [join(import.meta.dirname, "torch_step.py")], { task: caseOf(size, `${dtype}-${mode}`, threads), threads }))),
  );
  const medians = await takeTurns([...own, ...torch], 7);
  const { batchSize, canvasLength } = SIZES[size];
  console.log(`${size}: ${batchSize * canvasLength} tokens a step, median of ${TURNS} alternating turns`);
  for (const { name, ms, last: { peakBytes } } of medians) {
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
