// `npm run bench:train [-- SIZE...] [--avx2]`: a training step of this project beside the same step in PyTorch, in alternating
// turns, and both beside what the machine can multiply. `--avx2` holds all to what a CPU without AVX-512 has.
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { backendInfo, resolveDtype } from "@diffucoder/engine";
import { TURNS, openSide, takeTurns } from "../sides.ts";
import { TORCH, installTorch } from "../torch.ts";
import { SIZES, caseOf, stepFlops, type SizeName } from "./cases.ts";

/** Rows and columns of the product that shows how fast the machine multiplies. */
const PRODUCT_SIZE = 1024;

const { positionals, values } = parseArgs({ allowPositionals: true, options: { avx2: { type: "boolean", default: false } } });
const sizes = positionals.length > 0 ? positionals : ["quickstart"];
const unknown = sizes.filter((size) => !(size in SIZES));
if (unknown.length > 0) {
  console.error(`sizes: expected some of ${Object.keys(SIZES).join(", ")}, found ${unknown.join(", ")}`);
  process.exit(2);
}
if (values.avx2) {
  const TORCHINDUCTOR_CACHE_DIR = join(tmpdir(), "torchinductor-avx2"); // what was compiled for AVX-512 would be taken from the usual one
  Object.assign(process.env, { DIFFUCODER_KERNELS: "x86-64-v3", ONEDNN_MAX_CPU_ISA: "AVX2", ATEN_CPU_CAPABILITY: "avx2", MKL_ENABLE_INSTRUCTIONS: "AVX2", TORCHINDUCTOR_CACHE_DIR });
}
const { threads, libtensorflow, instructionSet } = await backendInfo();
const dtypes = !values.avx2 && resolveDtype("auto") === "bf16" ? ["fp32", "bf16"] : ["fp32"];
const python = installTorch();
console.log(`${cpus()[0]!.model.trim()} (${values.avx2 ? "held to AVX2" : instructionSet}), ${threads} threads, libtensorflow ${libtensorflow}, PyTorch ${TORCH}\n`);
for (const size of sizes) await compare(size as SizeName);
process.exit(0);

async function compare(size: SizeName): Promise<void> {
  const script = (name: string) => join(import.meta.dirname, name);
  const own = await Promise.all(dtypes.map((dtype) => openSide(`ours ${dtype}`, process.execPath, ["--conditions=@diffucoder/source", script("own-step.ts")], { task: caseOf(size, dtype, threads), threads })));
  const torch = await Promise.all(
    dtypes.flatMap((dtype) => ["eager", "compile"].map((mode) => openSide(`torch ${dtype} ${mode}`, python, [script("torch_step.py")], { task: caseOf(size, `${dtype}-${mode}`, threads), threads }))),
  );
  const products = await Promise.all(
    dtypes.map((dtype) => openSide(`product ${dtype}`, python, [script("gemm.py")], { task: { size: PRODUCT_SIZE, dtype: dtype === "bf16" ? "bfloat16" : "float32", threads }, threads })),
  );
  const results = await takeTurns([...own, ...torch, ...products], 7);
  const medians = results.slice(0, own.length + torch.length);
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
  for (const [i, dtype] of dtypes.entries()) {
    const flopsPerMs = (2 * PRODUCT_SIZE ** 3) / results[medians.length + i]!.ms;
    const leastMs = stepFlops(caseOf(size, dtype, threads)) / flopsPerMs;
    console.log(`  ${dtype}: the machine multiplies ${(flopsPerMs / 1e6).toFixed(0)} GFLOP/s, so a step takes at least ${leastMs.toFixed(1)} ms; ours is at ${((100 * leastMs) / medians[i]!.ms).toFixed(0)} % of that limit`);
  }
  console.log("");
  for (const side of [...own, ...torch, ...products]) side.end();
}
