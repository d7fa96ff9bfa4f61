import { existsSync } from "node:fs";
import { join } from "node:path";
import { SHARD_MANIFEST } from "@diffucoder/formats";
import { findArtifact, type Store } from "@diffucoder/lineage";
import { UsageError } from "./project.ts";

/** A set of shards that a person means: one split of an artifact or of a folder. */
export interface ShardTarget {
  /** `train`, `validation`, or the empty string for a folder that is one set itself. */
  readonly split: string;
  /** Absolute path of a file of the set. */
  readonly fileOf: (path: string) => Promise<string>;
}

export interface ShardTargets {
  readonly sets: readonly ShardTarget[];
  /** Path of the tokenizer that lies beside the sets, if one does. */
  readonly tokenizer: string | undefined;
}

/**
 * Shards by what a person calls them: a folder, or an artifact's name or first digits.
 *
 * @throws UsageError when there are none; ArtifactMissing
 */
export async function findShards(target: string, openStore: () => Promise<Store>): Promise<ShardTargets> {
  const found = existsSync(target) ? shardsOfFolder(target) : await shardsOfArtifact(target, await openStore());
  if (found.sets.length === 0) throw new UsageError(`${target}: expected token shards, found no ${SHARD_MANIFEST}. Name a \`shards\` artifact or a folder with one exported.`);
  return found;
}

const SPLITS = ["", "train", "validation"];
const TOKENIZER = "tokenizer.json";

function shardsOfFolder(folder: string): ShardTargets {
  const splits = SPLITS.filter((split) => existsSync(join(folder, split, SHARD_MANIFEST)));
  const tokenizer = join(folder, TOKENIZER);
  return { sets: splits.map((split) => ({ split, fileOf: async (path) => join(folder, split, path) })), tokenizer: existsSync(tokenizer) ? tokenizer : undefined };
}

async function shardsOfArtifact(name: string, store: Store): Promise<ShardTargets> {
  const ref = await findArtifact(store, name);
  const paths = new Set((await store.artifacts.manifest(ref)).files.map(({ path }) => path));
  const splits = SPLITS.filter((split) => paths.has(join(split, SHARD_MANIFEST)));
  return {
    sets: splits.map((split) => ({ split, fileOf: (path) => store.artifacts.file(ref, join(split, path)) })),
    tokenizer: paths.has(TOKENIZER) ? await store.artifacts.file(ref, TOKENIZER) : undefined,
  };
}
