import { createHash } from "node:crypto";
import { z } from "zod";
import { FormatError } from "./errors.ts";

const shardEntry = z.strictObject({
  path: z.string(),
  sha256: z.string(),
  bytes: z.int(),
  documents: z.int(),
  tokens: z.int(),
});

const manifestSchema = z
  .strictObject({
    version: z.literal(1),
    /** Merkle root over the shards' digests. */
    root: z.string(),
    vocabSize: z.int(),
    tokenizerSha256: z.string(),
    documents: z.int(),
    tokens: z.int(),
    shards: z.array(shardEntry),
  })
  .refine(({ documents, shards }) => documents === sumOverShards(shards, "documents"), { path: ["documents"], message: "expected the sum over shards" })
  .refine(({ tokens, shards }) => tokens === sumOverShards(shards, "tokens"), { path: ["tokens"], message: "expected the sum over shards" });

export type ShardManifest = z.infer<typeof manifestSchema>;

/** One shard as its manifest has it. */
export type ShardEntry = z.infer<typeof shardEntry>;

/** Total over shards. */
export const sumOverShards = (shards: readonly ShardEntry[], count: "documents" | "tokens"): number =>
  shards.reduce((total, shard) => total + shard[count], 0);

export const SHARD_MANIFEST = "manifest.json";

/** What to do about a shard set that is not what it should be. */
export const REBUILD_SHARDS = "Delete it and run the tokenize stage again";

/** @throws FormatError `ShardCorrupt` naming the file; also when the Merkle root is not that of the shards */
export function parseShardManifest(text: string, path: string): ShardManifest {
  const corrupt = (problem: string) => new FormatError("ShardCorrupt", path, problem, REBUILD_SHARDS);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw corrupt(`expected JSON, found ${(error as SyntaxError).message}`);
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) throw corrupt(z.prettifyError(parsed.error));
  const root = merkleRoot(parsed.data.shards.map((shard) => shard.sha256));
  if (root !== parsed.data.root) throw corrupt(`expected Merkle root ${parsed.data.root}, found ${root}`);
  return parsed.data;
}

/** sha256 tree over hexadecimal leaves; an odd node moves up as it is. */
export function merkleRoot(leaves: readonly string[]): string {
  if (leaves.length === 0) return createHash("sha256").digest("hex");
  let level = [...leaves];
  while (level.length > 1) {
    const next: string[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const right = level[i + 1];
      next.push(right === undefined ? level[i]! : createHash("sha256").update(level[i]!).update(right).digest("hex"));
    }
    level = next;
  }
  return level[0]!;
}
