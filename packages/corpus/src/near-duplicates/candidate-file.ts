import { PairList } from "./pair-list.ts";
import { SpillFile, UnfinishedFile } from "./spill-file.ts";

/**
 * Writes candidate pairs, u64 with the first rank above the second, as runs that are sorted and free of repetitions each.
 * The file ends with the number of skipped pairs, the number of pairs of each run and that of runs, all f64.
 */
export class CandidateFileWriter {
  readonly #file: UnfinishedFile;
  readonly #pairs = new PairList();
  readonly #runs: number[] = [];
  #skipped = 0;

  constructor(path: string) {
    this.#file = new UnfinishedFile(path);
  }

  add(first: number, second: number): void {
    if (this.#pairs.length === PAIRS_IN_MEMORY && this.#pairs.sorted().length > PAIRS_IN_MEMORY / 2) this.#writeRun();
    this.#pairs.add(first, second);
  }

  skip(pairs: number): void {
    this.#skipped += pairs;
  }

  publish(): void {
    this.#writeRun();
    this.#file.write(Float64Array.of(this.#skipped, ...this.#runs, this.#runs.length));
    this.#file.publish();
  }

  #writeRun(): void {
    const run = this.#pairs.sorted();
    this.#file.write(run);
    this.#runs.push(run.length);
    this.#pairs.clear();
  }
}

/** 32 MB. */
const PAIRS_IN_MEMORY = 1 << 22;

export function countCandidates(path: string): { readonly records: number; readonly skipped: number } {
  const file = new SpillFile(path);
  try {
    const { skipped, runs } = readTrailer(file);
    return { records: runs.reduce((sum, pairs) => sum + pairs, 0), skipped };
  } finally {
    file.close();
  }
}

/** Pairs whose first rank is in [first, end), of each run; u32 words, second rank first. */
export function readCandidates(path: string, first: number, end: number): Uint32Array[] {
  const file = new SpillFile(path);
  try {
    let start = 0;
    return readTrailer(file).runs.map((pairs) => {
      const [from, to] = [first, end].map((rank) => pairsBefore(file, start, pairs, rank)) as [number, number];
      const part = new Uint32Array(2 * (to - from));
      file.read(part, (start + from) * 8);
      start += pairs;
      return part;
    });
  } finally {
    file.close();
  }
}

function readTrailer(file: SpillFile): { readonly skipped: number; readonly runs: readonly number[] } {
  const count = new Float64Array(1);
  file.read(count, file.bytes - 8);
  const trailer = new Float64Array(count[0]! + 1);
  file.read(trailer, file.bytes - 8 - trailer.byteLength);
  return { skipped: trailer[0]!, runs: [...trailer.subarray(1)] };
}

/** How many pairs of a run have a lesser first rank. */
function pairsBefore(file: SpillFile, start: number, pairs: number, rank: number): number {
  let [low, high] = [0, pairs];
  const pair = new Uint32Array(2);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    file.read(pair, (start + middle) * 8);
    if (pair[1]! < rank) low = middle + 1;
    else high = middle;
  }
  return low;
}
