import { readFile } from "node:fs/promises";
import { findFates } from "@diffucoder/corpus";
import { DOCUMENTS_FILE, openShards, parseShardManifest, readDocuments, readShardRows, SHARD_MANIFEST, type ShardSet } from "@diffucoder/formats";
import type { ArtifactRef, Binding, Store } from "@diffucoder/lineage";
import { LEDGER_FILE, ledgerEntry, parseLedger, readPackedSample, sampleOrder, type LedgerEntry } from "@diffucoder/training";

/** A row of a corpus that is the document sought. */
export interface DocumentPlace {
  readonly artifact: string;
  readonly docId: string;
  readonly source: string;
  readonly path: string;
  readonly license: string;
}

/** A file of a corpus's sources that is the document sought, and that a rule has dropped. */
export interface DroppedFile {
  readonly artifact: string;
  readonly docId: string;
  readonly source: string;
  readonly path: string;
  readonly by: string;
}

/** A row of a token shard that holds the document. */
export interface ShardPlace {
  readonly artifact: string;
  readonly docId: string;
  readonly split: string;
  readonly shard: string;
  /** Row within the shard, from 0. */
  readonly row: number;
  /** Where its tokens begin in the split's stream. */
  readonly firstToken: number;
  readonly tokens: number;
}

/** What a run of a stage had to do with the document. */
export interface AffectedRun {
  readonly key: string;
  readonly stage: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** `reads`: its inputs hold the document; `inherits`: they were made from it. */
  readonly relation: "reads" | "inherits";
  /** Steps that trained on it, recomputed from the sample order; left out when the run trained on no shards. */
  readonly steps?: readonly number[];
  /** Whether the ledger's digest of each of these steps is that of the recomputed documents. */
  readonly isProved?: boolean;
  /** Checkpoints within the run, from the first such step on. */
  readonly checkpoints: readonly { readonly digest: string; readonly step: number }[];
}

export interface DocumentTrace {
  readonly documents: readonly DocumentPlace[];
  readonly dropped: readonly DroppedFile[];
  readonly shards: readonly ShardPlace[];
  readonly runs: readonly AffectedRun[];
  /** Names, such as `pretraining.checkpoint@RUN`, of all artifacts that hold the document or were made from it. */
  readonly names: readonly { readonly name: string; readonly digest: string }[];
}

/**
 * Where a document has gone: corpora, shards, runs, steps and checkpoints, from the records and the ledgers alone.
 *
 * @param wanted the document's id or its first digits, at least six, or the path of a file within its source; where an
 *   equal file of another path stands for that one, the document is found all the same
 */
export async function traceDocument(store: Store, wanted: string): Promise<DocumentTrace> {
  const bindings = (await store.records.bindings()).sort((a, b) => (a.cost.startedAt < b.cost.startedAt ? -1 : 1));
  const refs = artifactsOf(bindings);
  const { documents, dropped } = await findDocuments(store, refs, wanted);
  const ids = new Set(documents.map(({ docId }) => docId));
  const shards = await findInShards(store, refs, (docId) => ids.has(docId) || isIdOf(wanted, docId));
  const tainted = new Set([...documents, ...shards].map(({ artifact }) => artifact));
  const runs: AffectedRun[] = [];
  for (const { binding, relation } of affectedBy(bindings, tainted)) runs.push(await describeRun(store, binding, relation, shards));
  const all = new Set([...tainted, ...runs.flatMap(({ outputs, checkpoints }) => [...Object.values(outputs), ...checkpoints.map(({ digest }) => digest)])]);
  const names = (await store.names.list()).filter(({ ref }) => all.has(ref.digest)).map(({ name, ref }) => ({ name, digest: ref.digest }));
  return { documents, dropped, shards, runs, names };
}

function artifactsOf(bindings: readonly Binding[]): ArtifactRef[] {
  return [...new Map(bindings.flatMap(({ outputs }) => Object.values(outputs)).map((ref) => [ref.digest, ref])).values()];
}

const isIdOf = (wanted: string, docId: string): boolean => /^[0-9a-f]{6,32}$/.test(wanted) && docId.startsWith(wanted);

async function findDocuments(store: Store, refs: readonly ArtifactRef[], wanted: string): Promise<{ documents: DocumentPlace[]; dropped: DroppedFile[] }> {
  const [documents, dropped]: [DocumentPlace[], DroppedFile[]] = [[], []];
  for (const ref of refs.filter(({ kind }) => kind === "documents")) {
    const fates = await findFates(store, ref, wanted);
    const kept = new Set(fates.flatMap(({ docId, droppedBy }) => (droppedBy === null ? [docId] : [])));
    for await (const { docId, source, path, license } of readDocuments(await store.artifacts.file(ref, DOCUMENTS_FILE))) {
      if (isIdOf(wanted, docId) || path === wanted || kept.has(docId)) documents.push({ artifact: ref.digest, docId, source, path, license });
    }
    for (const { docId, file, droppedBy: by } of fates) if (by !== null) dropped.push({ artifact: ref.digest, docId, source: file.source, path: file.path, by });
  }
  return { documents, dropped };
}

async function findInShards(store: Store, refs: readonly ArtifactRef[], isWanted: (docId: string) => boolean): Promise<ShardPlace[]> {
  const places: ShardPlace[] = [];
  for (const ref of refs.filter(({ kind }) => kind === "shards")) {
    for (const split of ["train", "validation"]) {
      const manifestPath = await store.artifacts.file(ref, `${split}/${SHARD_MANIFEST}`);
      let firstToken = 0;
      for (const shard of parseShardManifest(await readFile(manifestPath, "utf8"), manifestPath).shards) {
        let row = 0;
        for await (const { docId, tokens } of readShardRows(await store.artifacts.file(ref, `${split}/${shard.path}`))) {
          if (isWanted(docId)) places.push({ artifact: ref.digest, docId, split, shard: shard.path, row, firstToken, tokens: tokens.length });
          firstToken += tokens.length;
          row++;
        }
      }
    }
  }
  return places;
}

/** Runs downstream of some artifacts, in the order in which they began. */
function affectedBy(bindings: readonly Binding[], artifacts: ReadonlySet<string>): { binding: Binding; relation: AffectedRun["relation"] }[] {
  const reached = new Set(artifacts);
  const affected = new Map<Binding, AffectedRun["relation"]>();
  for (let before = -1; before < affected.size; ) {
    before = affected.size;
    for (const binding of bindings) {
      const inputs = Object.values(binding.facts.inputs);
      if (affected.has(binding) || !inputs.some((digest) => reached.has(digest))) continue;
      affected.set(binding, inputs.some((digest) => artifacts.has(digest)) ? "reads" : "inherits");
      for (const { digest } of Object.values(binding.outputs)) reached.add(digest);
    }
  }
  return bindings.filter((binding) => affected.has(binding)).map((binding) => ({ binding, relation: affected.get(binding)! }));
}

async function describeRun(store: Store, binding: Binding, relation: AffectedRun["relation"], places: readonly ShardPlace[]): Promise<AffectedRun> {
  const { key, facts, outputs } = binding;
  const digests = Object.fromEntries(Object.entries(outputs).map(([role, { digest }]) => [role, digest]));
  const within = (await store.records.checkpoints(key)).map(({ ref, step }) => ({ digest: ref.digest, step })).sort((a, b) => a.step - b.step);
  const ledger = await readLedger(store, outputs.checkpoint);
  const inShards = places.filter(({ artifact, split }) => artifact === facts.inputs.shards && split === "train");
  if (ledger === undefined || inShards.length === 0) return { key, stage: facts.stage, outputs: digests, relation, checkpoints: within };
  const { steps, isProved } = await stepsWith(store, binding, ledger, inShards);
  return { key, stage: facts.stage, outputs: digests, relation, steps, isProved, checkpoints: within.filter(({ step }) => steps.length > 0 && step >= steps[0]!) };
}

async function readLedger(store: Store, checkpoint: ArtifactRef | undefined): Promise<LedgerEntry[] | undefined> {
  if (checkpoint === undefined) return undefined;
  const { files } = await store.artifacts.manifest(checkpoint);
  if (!files.some(({ path }) => path === LEDGER_FILE)) return undefined;
  return parseLedger(await readFile(await store.artifacts.file(checkpoint, LEDGER_FILE), "utf8"));
}

/** Recomputes which samples each step drew, and proves the steps that drew the document by the ledger. */
async function stepsWith(store: Store, { facts }: Binding, ledger: readonly LedgerEntry[], places: readonly ShardPlace[]): Promise<{ steps: number[]; isProved: boolean }> {
  const { canvasLength } = facts.recipe as { canvasLength: number };
  const shards = await openShards((path) => store.artifacts.file({ kind: "shards", digest: places[0]!.artifact }, `train/${path}`));
  try {
    const wanted = samplesOf(places, canvasLength);
    const sampleCount = Math.floor(shards.tokenCount / canvasLength);
    const order = sampleOrder({ seed: facts.seed, stage: `${facts.stage} train`, root: shards.manifest.root, sampleCount });
    const steps: number[] = [];
    let isProved = true;
    for (const entry of ledger) {
      const [first, end] = entry.samples;
      const samples = Array.from({ length: end - first }, (_, i) => order(first + i));
      if (!samples.some((sample) => wanted.has(sample))) continue;
      steps.push(entry.step);
      isProved &&= documentsDigest(shards, samples, canvasLength, entry.step) === entry.documents;
    }
    return { steps, isProved };
  } finally {
    await shards.close();
  }
}

function samplesOf(places: readonly ShardPlace[], canvasLength: number): Set<number> {
  const samples = new Set<number>();
  for (const { firstToken, tokens } of places) {
    for (let sample = Math.floor(firstToken / canvasLength); sample * canvasLength < firstToken + tokens; sample++) samples.add(sample);
  }
  return samples;
}

function documentsDigest(shards: ShardSet, samples: readonly number[], canvasLength: number, step: number): string {
  const documents = samples.flatMap((sample) => readPackedSample(shards, sample, canvasLength).documents);
  return ledgerEntry(step, samples.length, [...new Set(documents)]).documents;
}
