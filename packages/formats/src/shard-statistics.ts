import { readFile } from "node:fs/promises";
import { SHARD_MANIFEST, parseShardManifest } from "./shard-manifest.ts";
import { readShardRows } from "./shard-rows.ts";

/** Documents, the different ones among them, and tokens. */
export interface ShardCount {
  documents: number;
  distinct: number;
  tokens: number;
}

export interface ShardStatistics extends Readonly<ShardCount> {
  readonly shards: number;
  readonly bytes: number;
  readonly vocabSize: number;
  readonly root: string;
  readonly tokenizerSha256: string;
  readonly bySource: Readonly<Record<string, ShardCount>>;
  readonly byLanguage: Readonly<Record<string, ShardCount>>;
  /** Tokens of the shortest document, the quartiles, and the longest. */
  readonly lengths: readonly [least: number, quarter: number, median: number, threeQuarters: number, most: number];
}

/**
 * Counts what is in a set of shards.
 *
 * @param fileOf absolute path of a file of the set
 * @throws FormatError `ShardCorrupt` naming the file
 */
export async function describeShards(fileOf: (path: string) => Promise<string>): Promise<ShardStatistics> {
  const path = await fileOf(SHARD_MANIFEST);
  const { shards, vocabSize, root, tokenizerSha256 } = parseShardManifest(await readFile(path, "utf8"), path);
  const all = newCount();
  const bySource: Record<string, ShardCount> = {};
  const byLanguage: Record<string, ShardCount> = {};
  const lengths: number[] = [];
  const seen = new Set<string>();
  for (const shard of shards) {
    for await (const { docId, source, language, tokens } of readShardRows(await fileOf(shard.path))) {
      for (const count of [all, (bySource[source] ??= newCount()), (byLanguage[language] ??= newCount())]) {
        count.documents += 1;
        count.distinct += seen.has(docId) ? 0 : 1;
        count.tokens += tokens.length;
      }
      seen.add(docId);
      lengths.push(tokens.length);
    }
  }
  const bytes = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  return { shards: shards.length, bytes, vocabSize, root, tokenizerSha256, ...all, bySource, byLanguage, lengths: quartiles(lengths) };
}

const newCount = (): ShardCount => ({ documents: 0, distinct: 0, tokens: 0 });

function quartiles(lengths: number[]): ShardStatistics["lengths"] {
  const sorted = Float64Array.from(lengths).sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  return [at(0), at(0.25), at(0.5), at(0.75), at(1)];
}
