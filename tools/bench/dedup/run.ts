// `npm run bench:dedup -- PATH...`: near-deduplication of real files beside datatrove, on one core, and both against
// comparison of all pairs. Paths are directories of source files or JSONL files with `content` or `text`.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MINHASH_PRESETS, MinHashKernel } from "@diffucoder/corpus";
import { cacheDirectory } from "@diffucoder/lineage";
import { accuracyOf, bruteForcePairs, pairSet, type PairSet } from "./accuracy.ts";
import { readDocuments, type BenchDocument } from "./read-documents.ts";

const DATATROVE = "0.10.1";
const THRESHOLD = 0.8;
/** datatrove's defaults: 14 bands of 8 hashes of 64 bits. */
const SCHEME = MINHASH_PRESETS.fineweb;

interface Side {
  /** Seconds by step. */
  readonly cpu: Readonly<Record<string, number>>;
  readonly pairs: readonly (readonly [number, number])[];
  readonly removed: readonly number[];
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { documents: { type: "string", default: "5000" }, turns: { type: "string", default: "3" } } });
const turns = Number(values.turns);
if (positionals.length === 0) {
  console.error("paths: expected directories or JSONL files, found none. Run `npm run bench:dedup -- PATH...`");
  process.exit(2);
}
const documents = readDocuments(positionals, Number(values.documents));
const megabytes = documents.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0) / 1e6;
const python = installDatatrove();
const folder = mkdtempSync(join(tmpdir(), "dedup-"));
const path = join(folder, "documents.jsonl");
writeFileSync(path, documents.map((document) => `${JSON.stringify(document)}\n`).join(""));
console.log(`${cpus()[0]!.model.trim()}, datatrove ${DATATROVE}; ${documents.length} distinct files, ${megabytes.toFixed(1)} MB; ${SCHEME.bands} bands of ${SCHEME.rows} hashes of 64 bits\n`);

const own: Side[] = [];
const peer: Side[] = [];
for (let turn = 0; turn < turns; turn++) {
  own.push(runSide(process.execPath, ["--conditions=@diffucoder/source", join(import.meta.dirname, "own-side.ts")], `own-${turn}`, [String(THRESHOLD), JSON.stringify(SCHEME)]));
  peer.push(runSide(python, [join(import.meta.dirname, "datatrove_side.py")], `datatrove-${turn}`, [String(SCHEME.bands), String(SCHEME.rows)]));
}
reportSpeed();
reportAccuracy();
rmSync(folder, { recursive: true });

function runSide(command: string, args: readonly string[], name: string, rest: readonly string[]): Side {
  const output = execFileSync(command, [...args, path, join(folder, name), ...rest], { encoding: "utf8", maxBuffer: 1 << 30, env: { ...process.env, OMP_NUM_THREADS: "1" } });
  return JSON.parse(output) as Side;
}

function reportSpeed(): void {
  const seconds = (sides: readonly Side[], steps: readonly string[]) => median(sides.map(({ cpu }) => steps.reduce((sum, step) => sum + cpu[step]!, 0)));
  const row = (name: string, ours: number, theirs: number) =>
    console.log(`  ${name.padEnd(44)} ${ours.toFixed(2).padStart(8)} s ${(megabytes / ours).toFixed(1).padStart(7)} MB/s ${theirs.toFixed(2).padStart(8)} s ${(megabytes / theirs).toFixed(2).padStart(6)} MB/s ${(theirs / ours).toFixed(0).padStart(5)} times`);
  console.log(`CPU time, median of ${turns} alternating turns: this project, datatrove`);
  row("MinHash, output sorted and written", seconds(own, ["sign"]), seconds(peer, ["sign"]));
  row("all until it is known what to remove", seconds(own, ["sign", "join", "verify", "cluster"]), seconds(peer, ["sign", "pairs", "cluster"]));
}

function reportAccuracy(): void {
  console.log(`\nagainst comparison of all pairs, Jaccard similarity from ${THRESHOLD}, by each side's own shingles and by the other's`);
  const truths: [string, PairSet][] = [
    ["own shingles", bruteForcePairs(ownShingles(documents), THRESHOLD, SCHEME)],
    ["datatrove's shingles", bruteForcePairs(peerShingles(join(folder, "datatrove-0")), THRESHOLD, SCHEME)],
  ];
  for (const [truthName, truth] of truths) {
    for (const [name, { pairs, removed }] of [["this project", own[0]!], ["datatrove", peer[0]!]] as const) {
      const { truePairs, recall, precision, rightlyRemoved, leftOver } = accuracyOf(truth, pairSet(pairs), new Set(removed));
      console.log(
        `  ${truthName.padEnd(22)} ${name.padEnd(13)} ${truePairs} pairs: recall ${recall.toFixed(4)}, precision ${precision.toFixed(4)}; ${removed.length} removed, ${(100 * rightlyRemoved).toFixed(1)} % of them like one that stays; ${leftOver} pairs left`,
      );
    }
  }
}

function ownShingles(all: readonly BenchDocument[]): Uint8Array[] {
  const kernel = new MinHashKernel(SCHEME);
  return all.map(({ text }) => new Uint8Array(kernel.sign(Buffer.from(text)).runs.slice().buffer));
}

function peerShingles(from: string): Uint8Array[] {
  const shingles = readFileSync(join(from, "shingles"));
  const counts = readFileSync(join(from, "counts"));
  let end = 0;
  return Array.from({ length: counts.length / 4 }, (_, i) => shingles.subarray(end, (end += 8 * counts.readUInt32LE(4 * i))));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** datatrove in an environment of its own in the cache. */
function installDatatrove(): string {
  const environment = join(cacheDirectory(), "peers", `datatrove-${DATATROVE}`);
  const executable = join(environment, "bin", "python");
  if (!existsSync(join(environment, "installed"))) {
    console.log(`installing datatrove ${DATATROVE} into ${environment}, once`);
    execFileSync("python3", ["-m", "venv", environment], { stdio: "inherit" });
    execFileSync(executable, ["-m", "pip", "install", "--quiet", `datatrove==${DATATROVE}`, "regex==2026.11.19", "spacy==3.8.18", "tokenizers==0.23.3", "xxhash==3.5.0"], { stdio: "inherit" });
    writeFileSync(join(environment, "installed"), "");
  }
  return executable;
}
