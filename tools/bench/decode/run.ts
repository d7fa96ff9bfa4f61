// `npm run bench:decode [-- CASE...]`: decoding of this project beside the same algorithm in PyTorch, in alternating turns.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { backendInfo, resolveDtype } from "@diffucoder/engine";
import { openSide, takeTurns, type Timed } from "../sides.ts";
import { TORCH, installTorch } from "../torch.ts";
import { CASES, caseOf, modelOf, weightsOf, type CaseName } from "./cases.ts";

interface Answer extends Timed {
  readonly tokens: readonly number[];
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(CASES);
const unknown = names.filter((name) => !(name in CASES));
if (unknown.length > 0) {
  console.error(`cases: expected some of ${Object.keys(CASES).join(", ")}, found ${unknown.join(", ")}`);
  process.exit(2);
}
const { threads, libtensorflow, instructionSet } = await backendInfo();
const python = installTorch();
console.log(`${cpus()[0]!.model.trim()} (${instructionSet}), ${threads} threads, libtensorflow ${libtensorflow}, PyTorch ${TORCH}\n`);
for (const name of names) await compare(name as CaseName);
process.exit(0);

async function compare(name: CaseName): Promise<void> {
  const weights = mkdtempSync(join(tmpdir(), "bench-decode-"));
  writeWeights(name, weights);
  const dtypes = resolveDtype("auto") === "bf16" ? (["fp32", "bf16"] as const) : (["fp32"] as const);
  const own = await Promise.all(dtypes.map((dtype) => openSide<Answer>(`ours ${dtype}`, process.execPath, ["--conditions=@diffucoder/source", join(import.meta.dirname, "own-decode.ts")], { task: caseOf(name, dtype, threads, weights), threads })));
  const torch = await Promise.all(
    dtypes.flatMap((dtype) =>
      ["eager", "compile"].map((mode) => openSide<Answer>(`torch ${dtype} ${mode}`, python, [join(import.meta.dirname, "torch_decode.py")], { task: { ...caseOf(name, dtype, threads, weights), mode }, threads })),
    ),
  );
  const results = await takeTurns([...own, ...torch], 1);
  const { batchSize, steps, algorithm, temperature } = CASES[name];
  const { canvasLength, prompts } = caseOf(name, "fp32", threads, weights);
  const answerTokens = batchSize * (canvasLength - prompts[0]!.length);
  console.log(`${name}: ${batchSize} x ${canvasLength} tokens, ${answerTokens} of them decoded in ${steps} steps by ${algorithm} at temperature ${temperature}`);
  for (const { name: side, ms, last } of results) {
    const rate = Math.round((1000 * answerTokens) / ms).toString();
    console.log(`  ${side.padEnd(20)} ${ms.toFixed(0).padStart(8)} ms  ${rate.padStart(8)} tokens/s  ${(last.peakBytes / 1e6).toFixed(0).padStart(6)} MB`);
  }
  const best = (prefix: string) => results.filter((result) => result.name.startsWith(prefix)).reduce((a, b) => (a.ms <= b.ms ? a : b));
  for (const prefix of ["torch fp32", "torch"]) {
    const [ours, theirs] = [best(prefix === "torch" ? "ours" : "ours fp32"), best(prefix)];
    console.log(`  ${ours.name} against ${theirs.name}: ${(theirs.ms / ours.ms).toFixed(2)} times as fast`);
  }
  if (temperature === 0) {
    const [ours, theirs] = ["ours fp32", "torch fp32 eager"].map((side) => results.find((result) => result.name === side)!.last.tokens);
    console.log(`  equal tokens in fp32: ${ours!.filter((token, i) => token === theirs![i]).length} of ${ours!.length}`);
  }
  console.log("");
  for (const side of [...own, ...torch]) side.end();
  rmSync(weights, { recursive: true });
}

/** The weights that both sides decode with, as one flat file and an index. */
function writeWeights(name: CaseName, folder: string): void {
  const tensors = [...weightsOf(modelOf(CASES[name].size))];
  writeFileSync(join(folder, "weights.json"), JSON.stringify(tensors.map(([tensor, { shape }]) => [tensor, shape])));
  writeFileSync(join(folder, "weights.bin"), Buffer.concat(tensors.map(([, { data }]) => Buffer.from(data.buffer, data.byteOffset, data.byteLength))));
}
