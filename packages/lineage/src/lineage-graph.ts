import type { ArtifactRef, DamagedFile } from "./artifact-store.ts";
import { ArtifactMissing } from "./errors.ts";
import type { Binding } from "./records.ts";
import type { Store } from "./store.ts";

/** A run of a stage in the history of an artifact. */
export interface LineageRun {
  readonly key: string;
  readonly stage: string;
  readonly seed: number;
  readonly attempt: number;
  readonly finishedFrom: Binding;
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
  const producers = new Map<string, { role: string; binding: Binding }>();
  for (const binding of await store.records.bindings()) {
    for (const [role, ref] of Object.entries(binding.outputs)) producers.set(ref.digest, { role, binding });
  }
  const nodes = new Map<string, LineageNode>();
  const visit = (wanted: string): LineageNode => {
    const known = nodes.get(wanted);
    if (known !== undefined) return known;
    const producer = producers.get(wanted);
    if (producer === undefined) throw new ArtifactMissing(wanted, "a record of the run that made it");
    const { role, binding } = producer;
    const node: LineageNode = {
      ref: binding.outputs[role]!,
      role,
      run: {
        key: binding.key,
        stage: binding.facts.stage,
        seed: binding.facts.seed,
        attempt: binding.attempt,
        finishedFrom: binding,
      },
      inputs: Object.fromEntries(Object.entries(binding.facts.inputs).map(([input, inputDigest]) => [input, visit(inputDigest)])),
      sources: binding.facts.sources,
    };
    nodes.set(wanted, node);
    return node;
  };
  return visit(digest);
}

/** Finds the one artifact whose digest begins so, or that has that name. */
export async function findArtifact(store: Store, nameOrDigest: string): Promise<ArtifactRef> {
  const named = await store.names.resolve(nameOrDigest);
  if (named !== undefined) return named;
  const matches = new Map<string, ArtifactRef>();
  if (/^[0-9a-f]{6,64}$/.test(nameOrDigest)) {
    for (const { outputs } of await store.records.bindings()) {
      for (const ref of Object.values(outputs)) if (ref.digest.startsWith(nameOrDigest)) matches.set(ref.digest, ref);
    }
  }
  if (matches.size === 1) return [...matches.values()][0]!;
  throw new ArtifactMissing(nameOrDigest, matches.size === 0 ? "a name or a digest of at least 6 digits" : `one match (found ${matches.size})`);
}

/** Re-hashes all artifacts that records speak of, checkpoints of unfinished attempts included. */
export async function verifyStore(store: Store): Promise<{ artifacts: number; damaged: DamagedFile[] }> {
  const refs = await referencedArtifacts(store);
  const damaged: DamagedFile[] = [];
  for (const ref of refs.values()) damaged.push(...(await store.artifacts.verify(ref)));
  return { artifacts: refs.size, damaged };
}

/** Blobs that no record leads to, with their sizes: what a dead or fenced attempt left behind. */
export async function planGarbage(store: Store): Promise<{ digest: string; bytes: number }[]> {
  const live = new Set<string>();
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

async function referencedArtifacts(store: Store): Promise<Map<string, ArtifactRef>> {
  const refs = new Map<string, ArtifactRef>();
  for (const { outputs } of await store.records.bindings()) for (const ref of Object.values(outputs)) refs.set(ref.digest, ref);
  for (const { ref } of await store.names.list()) refs.set(ref.digest, ref);
  for (const key of await store.records.keys()) for (const { ref } of await store.records.checkpoints(key)) refs.set(ref.digest, ref);
  return refs;
}
