import { existsSync, readFileSync, statSync } from "node:fs";
import { CandidateFileWriter, countCandidates, readCandidates } from "./candidate-file.ts";
import type { ComparedPair } from "./clusters.ts";
import { MinHashKernel } from "./minhash-kernel.ts";
import type { MinHashScheme } from "./minhash-scheme.ts";
import { keepDistinct } from "./pair-list.ts";
import { DOCUMENT_MASK, RunsFile, SignedFileWriter, bandsPath, readBands } from "./signed-file.ts";
import { publishFile } from "./spill-file.ts";

/** A file of signatures and the place of its documents among all. */
export interface SignedPart {
  readonly path: string;
  /** Number of its first document. */
  readonly first: number;
  readonly documents: number;
}

/** Signs some texts. */
export interface SignUnit {
  readonly kind: "sign";
  readonly output: string;
  readonly scheme: MinHashScheme;
  /** UTF-8, one after the other. */
  readonly texts: Uint8Array;
  readonly ends: Uint32Array;
}

/** Finds candidate pairs among the bands of some segments: all documents that agree in one. */
export interface JoinUnit {
  readonly kind: "join";
  readonly output: string;
  readonly signed: readonly SignedPart[];
  /** Place of each document in keeper order; the order of arrival when left out. */
  readonly ranks?: Uint32Array;
  readonly firstSegment: number;
  readonly endSegment: number;
}

/** Computes the similarity of the candidate pairs whose first rank lies in a range. */
export interface VerifyUnit {
  readonly kind: "verify";
  readonly output: string;
  readonly signed: readonly SignedPart[];
  readonly scheme: MinHashScheme;
  /** Files of candidate pairs, each sorted. */
  readonly candidates: readonly string[];
  /** The document at each rank; the order of arrival when left out. */
  readonly order?: Uint32Array;
  readonly firstRank: number;
  readonly endRank: number;
}

/** Independent work: reads finished files, writes one of its own under its final name when it is whole. */
export type Unit = SignUnit | JoinUnit | VerifyUnit;

export interface UnitResult {
  /** Whether the output was there already. */
  readonly isReused: boolean;
  /** What the output holds: band records, candidate pairs, compared pairs. */
  readonly records: number;
  /** Pairs of a band's group that are not compared, see `comparedInGroup`. */
  readonly skipped: number;
}

/** Does a unit, unless an earlier attempt has finished it. */
export function runUnit(unit: Unit): UnitResult {
  const isReused = existsSync(unit.kind === "sign" ? bandsPath(unit.output) : unit.output);
  if (!isReused) work(unit);
  switch (unit.kind) {
    case "sign":
      return { isReused, records: unit.ends.length * unit.scheme.bands, skipped: 0 };
    case "join":
      return { isReused, ...countCandidates(unit.output) };
    case "verify":
      return { isReused, records: statSync(unit.output).size / COMPARED_BYTES, skipped: 0 };
  }
}

function work(unit: Unit): void {
  switch (unit.kind) {
    case "sign":
      return sign(unit);
    case "join":
      return join(unit);
    case "verify":
      return verify(unit);
  }
}

function sign({ output, scheme, texts, ends }: SignUnit): void {
  const kernel = kernelOf(scheme);
  const writer = new SignedFileWriter();
  let start = 0;
  for (const end of ends) {
    writer.add(kernel.sign(texts.subarray(start, end)));
    start = end;
  }
  writer.publish(output);
}

/**
 * With how many of a group, the first in keeper order, each further member is compared: with all in groups of up to 128;
 * in larger ones with fewer, since all pairs of a very large group would be too many.
 */
export function comparedInGroup(members: number): number {
  return Math.min(members, Math.max(LEAST_COMPARED, Math.floor(FULLY_COMPARED ** 2 / members)));
}

const FULLY_COMPARED = 128;
const LEAST_COMPARED = 8;

function join({ output, signed, ranks, firstSegment, endSegment }: JoinUnit): void {
  const slices = signed.map(({ path, first }) => {
    const segments = readBands(path, firstSegment, endSegment);
    for (const records of segments) rankDocuments(records, first, ranks);
    return segments;
  });
  const candidates = new CandidateFileWriter(output);
  for (let segment = 0; segment < endSegment - firstSegment; segment++) {
    const records = concatenate(slices.map((segments) => segments[segment]!));
    new BigUint64Array(records.buffer).sort();
    pairGroups(records, candidates);
  }
  candidates.publish();
}

function concatenate(parts: readonly Uint32Array[]): Uint32Array<ArrayBuffer> {
  const whole = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let filled = 0;
  for (const part of parts) {
    whole.set(part, filled);
    filled += part.length;
  }
  return whole;
}

/** Replaces the number of a document within its file by its rank among all. */
function rankDocuments(records: Uint32Array, first: number, ranks: Uint32Array | undefined): void {
  for (let i = 0; i < records.length; i += 2) {
    const document = first + (records[i]! & DOCUMENT_MASK);
    records[i] = (records[i]! & ~DOCUMENT_MASK) | (ranks === undefined ? document : ranks[document]!);
  }
}

/** Adds the pairs of each group of records with one key. */
function pairGroups(records: Uint32Array, candidates: CandidateFileWriter): void {
  for (let start = 0, end; start < records.length; start = end) {
    end = start + 2;
    while (end < records.length && records[end + 1] === records[start + 1] && (records[end]! ^ records[start]!) >>> 28 === 0) end += 2;
    const members = (end - start) / 2;
    const compared = comparedInGroup(members);
    for (let i = start; i < start + 2 * compared; i += 2) {
      const first = records[i]! & DOCUMENT_MASK;
      for (let j = i + 2; j < end; j += 2) candidates.add(first, records[j]! & DOCUMENT_MASK);
    }
    candidates.skip(((members - compared) * (members - compared - 1)) / 2);
  }
}

const COMPARED_BYTES = 16;

function verify({ output, signed, scheme, candidates, order, firstRank, endRank }: VerifyUnit): void {
  const kernel = kernelOf(scheme);
  const runsOf = (rank: number): Uint8Array => {
    const document = order === undefined ? rank : order[rank]!;
    const part = signed[partOf(signed, document)]!;
    return openRuns(part).runsOf(document - part.first);
  };
  const pairs = readPairs(candidates, firstRank, endRank);
  const compared = new Uint32Array(pairs.length * 2);
  let held = -1;
  for (let i = 0; i < compared.length; i += 4) {
    const [second, first] = [pairs[i / 2]!, pairs[i / 2 + 1]!];
    if (first !== held) kernel.hold(runsOf(first));
    held = first;
    const { shared, union } = kernel.compare(runsOf(second));
    compared.set([first, second, shared, union], i);
  }
  publishFile(output, [compared]);
}

/** Pairs of a file that a verify unit has written. */
export function* readCompared(path: string): Generator<ComparedPair> {
  const bytes = readFileSync(path);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0; i < words.length; i += 4) yield { first: words[i]!, second: words[i + 1]!, similarity: words[i + 2]! / words[i + 3]! };
}

function partOf(signed: readonly SignedPart[], document: number): number {
  let [low, high] = [0, signed.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (signed[middle]!.first <= document) low = middle;
    else high = middle;
  }
  return low;
}

/** Distinct pairs whose first rank is in [first, end), from files that may share some; u32 words, second rank first. */
function readPairs(paths: readonly string[], first: number, end: number): Uint32Array {
  const words = concatenate(paths.flatMap((path) => readCandidates(path, first, end)));
  return words.subarray(0, 2 * keepDistinct(new BigUint64Array(words.buffer).sort()));
}

// Kept from one unit to the next: tables of offsets and instances of the kernel are dear to make.
const openFiles = new Map<string, RunsFile>();
const MOST_OPEN_FILES = 512;
let kernel: { readonly key: string; readonly instance: MinHashKernel } | undefined;

function openRuns({ path, documents }: SignedPart): RunsFile {
  const known = openFiles.get(path);
  if (known !== undefined) return known;
  const [oldest] = openFiles;
  if (oldest !== undefined && openFiles.size === MOST_OPEN_FILES) {
    oldest[1].close();
    openFiles.delete(oldest[0]);
  }
  const file = new RunsFile(path, documents);
  openFiles.set(path, file);
  return file;
}

/** Closes what is kept open between units. */
export function closeOpenFiles(): void {
  for (const file of openFiles.values()) file.close();
  openFiles.clear();
}

function kernelOf(scheme: MinHashScheme): MinHashKernel {
  const key = `${scheme.wordsPerRun} ${scheme.bands} ${scheme.rows}`;
  if (kernel?.key !== key) kernel = { key, instance: new MinHashKernel(scheme) };
  return kernel.instance;
}
