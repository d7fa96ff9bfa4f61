import { open, readFile } from "node:fs/promises";
import { StageError } from "@diffucoder/lineage";
import { FormatError } from "./errors.ts";
import { REBUILD_SHARDS, SHARD_MANIFEST, parseShardManifest, type ShardEntry, type ShardManifest } from "./shard-manifest.ts";
import { readShardRows } from "./shard-rows.ts";
import { checkShard } from "./shard-set.ts";

export interface ShardCheck {
  readonly shards: number;
  readonly documents: number;
  readonly tokens: number;
  /** Merkle root that the manifest states; null when it cannot be read. */
  readonly root: string | null;
  /** Each file that is not what it should be, and why. */
  readonly damaged: readonly { readonly file: string; readonly problem: string }[];
}

/**
 * Reads a set of shards in full: sizes, digests, the Merkle root, and that each shard holds the documents and tokens that
 * the manifest counts. Goes on after a damaged file.
 *
 * @param fileOf absolute path of a file of the set
 */
export async function checkShards(fileOf: (path: string) => Promise<string>): Promise<ShardCheck> {
  const damaged: { file: string; problem: string }[] = [];
  const note = (file: string) => (error: unknown) => void damaged.push({ file, problem: problemOf(error) });
  const manifest = await readManifest(fileOf).catch(note(SHARD_MANIFEST));
  if (manifest === undefined) return { shards: 0, documents: 0, tokens: 0, root: null, damaged };
  for (const shard of manifest.shards) await checkInFull(fileOf, shard).catch(note(shard.path));
  const { shards, documents, tokens, root } = manifest;
  return { shards: shards.length, documents, tokens, root, damaged };
}

async function readManifest(fileOf: (path: string) => Promise<string>): Promise<ShardManifest> {
  const path = await fileOf(SHARD_MANIFEST);
  return parseShardManifest(await readFile(path, "utf8"), path);
}

async function checkInFull(fileOf: (path: string) => Promise<string>, shard: ShardEntry): Promise<void> {
  const path = await fileOf(shard.path);
  const handle = await open(path, "r");
  try {
    await checkShard(handle, path, shard, true);
  } finally {
    await handle.close();
  }
  let [documents, tokens] = [0, 0];
  for await (const document of readShardRows(path)) {
    documents++;
    tokens += document.tokens.length;
  }
  if (documents === shard.documents && tokens === shard.tokens) return;
  throw new FormatError("ShardCorrupt", path, `expected ${shard.documents} documents of ${shard.tokens} tokens, found ${documents} of ${tokens}`, REBUILD_SHARDS);
}

function problemOf(error: unknown): string {
  if (error instanceof FormatError) return String(error.details.problem);
  if (error instanceof StageError || (error as NodeJS.ErrnoException).code !== undefined) return (error as Error).message;
  throw error;
}
