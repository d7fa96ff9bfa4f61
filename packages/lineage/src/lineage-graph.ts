import type { ArtifactRef, DamagedFile } from "./artifact-store.ts";
import { ArtifactAmbiguous, ArtifactMissing } from "./errors.ts";
import type { Acceptance, Binding } from "./records.ts";
import type { Store } from "./store.ts";

/** A run of a stage in the history of an artifact. */
export interface LineageRun {
  readonly key: string;
  readonly stage: string;
  readonly seed: number;
  readonly attempt: number;
  readonly finishedFrom: Binding;
  /** Keys of other code for which a person has accepted this run's result. */
  readonly acceptedFor: readonly Acceptance[];
}

export interface LineageNode {
  readonly ref: ArtifactRef;
  /** Role under which its run published it, such as `checkpoint`. */
  readonly role: string;
  readonly run: LineageRun;
  readonly inputs: Readonly<Record<string, LineageNode>>;
  /** sha256 of each file outside the store that the run read: data cards, wheels, benchmarks. */
  readonly sources: Readonly<Record<string, string>>;
}

/**
 * The history of an artifact back to source files and data cards.
 *
 * @throws ArtifactMissing when no finished run has published it
 */
export async function lineageOf(store: Store, digest: string): Promise<LineageNode> {
  const producers = new Map<string, { role: string; binding: Binding; acceptedFor: Acceptance[] }>();
  for (const binding of (await store.records.bindings()).sort(byOrigin)) {
    for (const [role, { digest: made }] of Object.entries(binding.outputs)) {
      const first = producers.get(made);
      if (first === undefined) producers.set(made, { role, binding, acceptedFor: [] });
      else if (binding.accepted !== undefined) first.acceptedFor.push({ ...binding.accepted, key: binding.key });
    }
  }
  const nodes = new Map<string, LineageNode>();
  const visit = (wanted: string): LineageNode => {
    const known = nodes.get(wanted);
    if (known !== undefined) return known;
    const producer = producers.get(wanted);
    if (producer === undefined) throw new ArtifactMissing(wanted, "a record of the run that made it");
    const { role, binding, acceptedFor } = producer;
    const node: LineageNode = {
      ref: binding.outputs[role]!,
      role,
      run: {
        key: binding.key,
        stage: binding.facts.stage,
        seed: binding.facts.seed,
        attempt: binding.attempt,
        finishedFrom: binding,
        acceptedFor,
      },
      inputs: Object.fromEntries(Object.entries(binding.facts.inputs).map(([input, inputDigest]) => [input, visit(inputDigest)])),
      sources: binding.facts.sources,
    };
    nodes.set(wanted, node);
    return node;
  };
  return visit(digest);
}

/**
 * The run that first made some bytes comes before those that made them again, so that the history of an artifact never
 * leads back to itself, also when a stage's output equals its input; what a person accepted comes last.
 */
function byOrigin(a: Binding, b: Binding): number {
  const [orderA, orderB] = [a, b].map(({ accepted, cost, key }) => `${accepted === undefined ? 0 : 1} ${cost.startedAt} ${key}`) as [string, string];
  return orderA < orderB ? -1 : 1;
}

/**
 * Finds the one artifact that has that name, or whose digest begins so.
 *
 * @throws ArtifactMissing, ArtifactAmbiguous
 */
export async function findArtifact(store: Store, nameOrDigest: string): Promise<ArtifactRef> {
  const named = await store.names.resolve(nameOrDigest);
  if (named !== undefined) return named;
  const matches = new Map<string, ArtifactRef>();
  if (/^[0-9a-f]{6,64}$/.test(nameOrDigest)) {
    for (const { outputs } of await store.records.bindings()) {
      for (const ref of Object.values(outputs)) if (ref.digest.startsWith(nameOrDigest)) matches.set(ref.digest, ref);
    }
  }
  const [match] = matches.values();
  if (match === undefined) throw new ArtifactMissing(nameOrDigest, "a name, STAGE.OUTPUT@RUN, or at least the first 6 digits of a digest", "`diffucoder status -r RUN` lists what a run has made.");
  if (matches.size > 1) throw new ArtifactAmbiguous(nameOrDigest, [...matches.keys()]);
  return match;
}

/** Re-hashes all artifacts that records speak of, checkpoints of unfinished attempts included. */
export async function verifyStore(store: Store): Promise<{ artifacts: number; damaged: DamagedFile[] }> {
  const refs = await referencedArtifacts(store);
  const damaged: DamagedFile[] = [];
  for (const ref of refs.values()) damaged.push(...(await store.artifacts.verify(ref)));
  return { artifacts: refs.size, damaged };
}

/**
 * Blobs that no record leads to, with their sizes: what a dead or fenced attempt left behind, and pieces that no run has
 * made or used for a week.
 */
export async function planGarbage(store: Store, now: () => number = Date.now): Promise<{ digest: string; bytes: number }[]> {
  const live = await store.pieces.blobsUsedSince(now() - PIECES_LAST_MS);
  for (const ref of (await referencedArtifacts(store)).values()) {
    live.add(ref.digest);
    const files = await store.artifacts.manifest(ref).then(
      (manifest) => manifest.files,
      () => [],
    );
    for (const file of files) live.add(file.sha256);
  }
  const garbage: { digest: string; bytes: number }[] = [];
  for await (const digest of store.blobs.list()) {
    if (!live.has(digest)) garbage.push({ digest, bytes: (await store.blobs.stat(digest)) ?? 0 });
  }
  return garbage;
}

const PIECES_LAST_MS = 7 * 24 * 3_600_000;

async function referencedArtifacts(store: Store): Promise<Map<string, ArtifactRef>> {
  const refs = new Map<string, ArtifactRef>();
  for (const { outputs } of await store.records.bindings()) for (const ref of Object.values(outputs)) refs.set(ref.digest, ref);
  for (const { ref } of await store.names.list()) refs.set(ref.digest, ref);
  for (const key of await store.records.keys()) for (const { ref } of await store.records.checkpoints(key)) refs.set(ref.digest, ref);
  return refs;
}
