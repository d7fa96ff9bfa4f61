import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { StageCancelled, sha256 } from "@diffucoder/lineage";
import { BoundedWork } from "./bounded-work.ts";
import { clusterPairs, type ClusterRule, type Clustering } from "./clusters.ts";
import { DocumentTable, type KeeperOrder, type KeeperRule } from "./keeper-order.ts";
import { MINHASH_PRESETS, type MinHashScheme } from "./minhash-scheme.ts";
import { SEGMENTS } from "./signed-file.ts";
import { TextBatch } from "./sign-documents.ts";
import { inlinePool, threadPool, type UnitPool } from "./unit-pool.ts";
import { readCompared, type SignedPart, type Unit, type UnitResult } from "./units.ts";

export interface NearDuplicateDocument {
  /** 128 bits in hexadecimal. */
  readonly id: string;
  readonly text: string;
  readonly repository?: string | undefined;
  readonly stars?: number | undefined;
}

export interface NearDuplicateOptions {
  /** Where signatures and pairs are spilled. Units of work that an earlier call has finished there are not done again. */
  readonly directory: string;
  /** Jaccard similarity, of sets of runs of words, from which two documents are alike; above 0. */
  readonly threshold: number;
  readonly scheme?: MinHashScheme;
  readonly clusters?: ClusterRule;
  readonly keeper?: KeeperRule;
  /** How the work is done; the result does not depend on it. */
  readonly execution?: DedupExecution;
  readonly signal?: AbortSignal;
  /** Called when a unit of work is done. */
  readonly onProgress?: (progress: DedupProgress) => void;
}

export interface DedupExecution {
  /** Worker threads; 0, unless given, works in this thread. */
  readonly workers?: number;
  /** Text that is signed as one unit of work. */
  readonly unitBytes?: number;
  /** Units into which pairs are divided; as many as keep memory small unless given, at most 256. */
  readonly partitions?: number;
}

export interface DedupProgress {
  readonly phase: Unit["kind"];
  readonly unitsDone: number;
  /** Not known while documents are still read. */
  readonly units?: number;
  readonly documents: number;
}

/** A document that another one stands for. */
export interface Removal {
  readonly id: string;
  /** The document that stays; it names the cluster. */
  readonly keptId: string;
  /** The like document that `similarity` is of: the one that stays, except in connected components. */
  readonly nearestId: string;
  readonly similarity: number;
}

/** Two documents that MinHash proposed, and how alike they are, be it enough or not. */
export interface CandidatePair {
  readonly firstId: string;
  readonly secondId: string;
  readonly similarity: number;
}

export interface NearDuplicateSummary {
  readonly documents: number;
  readonly candidatePairs: number;
  /** Candidate pairs at or above the threshold. */
  readonly likePairs: number;
  /** Pairs within groups too large to be compared in full, see `comparedInGroup`. */
  readonly skippedPairs: number;
  /** Clusters of two documents and more. */
  readonly clusters: number;
  readonly largestCluster: number;
  readonly removed: number;
  /** sha256 over all removals in keeper order. */
  readonly digest: string;
}

/** Readable as long as the directory is there. */
export interface NearDuplicates {
  readonly summary: NearDuplicateSummary;
  /** Units of work that this call did, and those that it found finished. */
  readonly units: { readonly done: number; readonly reused: number };
  /** In keeper order. */
  removals(): Generator<Removal>;
  /** Every candidate pair, in keeper order of its first document. */
  candidates(): Generator<CandidatePair>;
}

type Documents = AsyncIterable<NearDuplicateDocument> | Iterable<NearDuplicateDocument>;

/**
 * Finds near-duplicates in a stream of documents. MinHash proposes pairs; the Jaccard similarity of each is computed from
 * all its runs of words. Memory is bounded by the units in work and some 50 bytes a document; texts are not kept.
 *
 *     documents ─ sign ─> runs, band keys ─ join ─> candidate pairs ─ verify ─> similarities ─ cluster ─> removals
 *
 * The first three are divided into units that do not depend on each other; neither their number nor that of the workers
 * has a part in the result.
 *
 * @throws RangeError for an id that is not 128 bits in hexadecimal; StageCancelled; WorkerLost
 */
export async function findNearDuplicates(documents: Documents, options: NearDuplicateOptions): Promise<NearDuplicates> {
  const workers = options.execution?.workers ?? 0;
  const pool = workers === 0 ? inlinePool() : threadPool(workers);
  try {
    return await findWithPool(documents, options, pool);
  } finally {
    await pool.close();
  }
}

/** As `findNearDuplicates`, with a pool that the caller has. */
export async function findWithPool(documents: Documents, options: NearDuplicateOptions, pool: UnitPool): Promise<NearDuplicates> {
  await mkdir(options.directory, { recursive: true });
  const dedup = new Dedup(options, pool);
  await dedup.sign(documents);
  await dedup.join();
  await dedup.verify();
  return dedup.cluster();
}

/** About 2 million band records, or half a million pairs, are 16 MB in memory. */
const RECORDS_PER_UNIT = 1 << 21;
const PAIRS_PER_UNIT = 1 << 19;
const UNIT_BYTES = 1 << 24;

class Dedup {
  readonly #options: NearDuplicateOptions;
  readonly #scheme: MinHashScheme;
  readonly #pool: UnitPool;
  readonly #table: DocumentTable;
  readonly #signed: SignedPart[] = [];
  readonly #units = { done: 0, reused: 0 };
  #bandRecords = 0;
  #keeperOrder: KeeperOrder = { digest: "" };
  #candidates: readonly string[] = [];
  #candidatePairs = 0;
  #skippedPairs = 0;
  #compared: readonly string[] = [];

  constructor(options: NearDuplicateOptions, pool: UnitPool) {
    this.#options = options;
    this.#scheme = options.scheme ?? MINHASH_PRESETS.standard;
    this.#pool = pool;
    this.#table = new DocumentTable(options.keeper ?? "first");
  }

  async sign(documents: Documents): Promise<void> {
    const capacity = this.#options.execution?.unitBytes ?? UNIT_BYTES;
    const work = new BoundedWork<UnitResult>(this.#pool.size + 1);
    const spare: TextBatch[] = [];
    let batch = new TextBatch(capacity);
    const flush = async () => {
      if (batch.documents === 0) return;
      const full = batch;
      const unit = full.unit(this.#scheme, (digest) => this.#path(digest));
      this.#signed.push({ path: unit.output, first: this.#table.length - full.documents, documents: full.documents });
      await work.add(async () => {
        const result = await this.#run(unit);
        full.clear();
        spare.push(full);
        return result;
      });
      batch = spare.pop() ?? new TextBatch(capacity);
    };
    for await (const document of documents) {
      if (batch.isFullFor(document.text)) await flush();
      batch.add(document.text);
      this.#table.add(document);
    }
    await flush();
    this.#bandRecords = sum(await work.results(), "records");
    this.#keeperOrder = this.#table.keeperOrder();
  }

  async join(): Promise<void> {
    const { ranks, digest } = this.#keeperOrder;
    const inputs = this.#digestOf([digest, ...this.#signed.map(({ path }) => path)]);
    const ranges = this.#rangesOf(SEGMENTS, this.#bandRecords / RECORDS_PER_UNIT);
    const units = ranges.map(([firstSegment, endSegment]) => ({
      kind: "join" as const,
      output: this.#path(`${inputs}-${firstSegment}-${endSegment}.candidates`),
      signed: this.#signed,
      ...(ranks === undefined ? {} : { ranks }),
      firstSegment,
      endSegment,
    }));
    const results = await this.#runAll(units);
    this.#candidates = units.map(({ output }) => output);
    this.#candidatePairs = sum(results, "records");
    this.#skippedPairs = sum(results, "skipped");
  }

  async verify(): Promise<void> {
    const { order } = this.#keeperOrder;
    const inputs = this.#digestOf(this.#candidates);
    const ranges = this.#rangesOf(this.#table.length, this.#candidatePairs / PAIRS_PER_UNIT);
    const units = ranges.map(([firstRank, endRank]) => ({
      kind: "verify" as const,
      output: this.#path(`${inputs}-${firstRank}-${endRank}.compared`),
      signed: this.#signed,
      scheme: this.#scheme,
      candidates: this.#candidates,
      ...(order === undefined ? {} : { order }),
      firstRank,
      endRank,
    }));
    // A pair may have come from several join units.
    this.#candidatePairs = sum(await this.#runAll(units), "records");
    this.#compared = units.map(({ output }) => output);
  }

  cluster(): NearDuplicates {
    const { threshold, clusters = "star" } = this.#options;
    let likePairs = 0;
    const compared = this.#compared;
    const likes = function* () {
      for (const pair of compared.values().flatMap(readCompared)) {
        if (pair.similarity < threshold) continue;
        likePairs++;
        yield pair;
      }
    };
    const clustering = clusterPairs(clusters, this.#table.length, likes());
    const { order } = this.#keeperOrder;
    const table = this.#table;
    const idAt = (rank: number) => table.idAt(order === undefined ? rank : order[rank]!);
    const removals = () => removalsOf(clustering, idAt);
    return {
      summary: {
        documents: table.length,
        candidatePairs: this.#candidatePairs,
        likePairs,
        skippedPairs: this.#skippedPairs,
        ...sizesOf(clustering),
        digest: digestOf(removals()),
      },
      units: this.#units,
      removals,
      candidates: function* () {
        for (const { first, second, similarity } of compared.values().flatMap(readCompared)) yield { firstId: idAt(first), secondId: idAt(second), similarity };
      },
    };
  }

  /** What a unit's output is named by, so that it is found again only when all that it was made of is the same. */
  #digestOf(inputs: readonly string[]): string {
    return sha256(inputs.map((input) => input.replace(this.#options.directory, "")).join("\n")).slice(0, 32);
  }

  #path(name: string): string {
    return join(this.#options.directory, name);
  }

  #rangesOf(length: number, wanted: number): [number, number][] {
    const parts = Math.min(SEGMENTS, Math.max(1, Math.ceil(this.#options.execution?.partitions ?? wanted)));
    return Array.from({ length: parts }, (_, i) => [Math.floor((i * length) / parts), Math.floor(((i + 1) * length) / parts)]);
  }

  async #runAll(units: readonly Unit[]): Promise<UnitResult[]> {
    const work = new BoundedWork<UnitResult>(this.#pool.size);
    let done = 0;
    for (const unit of units) await work.add(async () => this.#run(unit, () => ({ unitsDone: ++done, units: units.length })));
    return work.results();
  }

  async #run(unit: Unit, count: () => { unitsDone: number; units?: number } = () => ({ unitsDone: this.#units.done + this.#units.reused })): Promise<UnitResult> {
    if (this.#options.signal?.aborted === true) throw new StageCancelled("near-duplicates");
    const result = await this.#pool.run(unit);
    this.#units[result.isReused ? "reused" : "done"]++;
    this.#options.onProgress?.({ phase: unit.kind, ...count(), documents: this.#table.length });
    return result;
  }
}

const sum = (results: readonly UnitResult[], count: "records" | "skipped"): number => results.reduce((total, result) => total + result[count], 0);

function* removalsOf({ kept, nearest, similarity }: Clustering, idAt: (rank: number) => string): Generator<Removal> {
  for (let rank = 0; rank < kept.length; rank++) {
    if (kept[rank] === rank) continue;
    yield { id: idAt(rank), keptId: idAt(kept[rank]!), nearestId: idAt(nearest[rank]!), similarity: similarity[rank]! };
  }
}

function sizesOf({ kept }: Clustering): Pick<NearDuplicateSummary, "clusters" | "largestCluster" | "removed"> {
  const others = new Uint32Array(kept.length);
  let [clusters, largest, removed] = [0, 0, 0];
  for (let rank = 0; rank < kept.length; rank++) {
    if (kept[rank] === rank) continue;
    removed++;
    const size = ++others[kept[rank]!]!;
    if (size === 1) clusters++;
    largest = Math.max(largest, size + 1);
  }
  return { clusters, largestCluster: largest, removed };
}

function digestOf(removals: Iterable<Removal>): string {
  const hash = createHash("sha256");
  for (const { id, keptId, nearestId, similarity } of removals) hash.update(`${id} ${keptId} ${nearestId} ${similarity}\n`);
  return hash.digest("hex");
}
