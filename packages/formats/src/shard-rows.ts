import { open } from "node:fs/promises";
import { RecordBatchReader, type AsyncRecordBatchFileReader, type RecordBatch } from "apache-arrow";
import { notTokens, tokenValues } from "./shard-set.ts";
import type { TokenDocument } from "./write-shards.ts";

/**
 * The documents of one shard, in file order, a record batch at a time.
 *
 * @throws FormatError `ShardCorrupt` naming the file
 */
export async function* readShardRows(path: string): AsyncGenerator<TokenDocument> {
  const handle = await open(path, "r");
  try {
    const reader = (await RecordBatchReader.from(handle).catch(notTokens(path))) as AsyncRecordBatchFileReader;
    await reader.open({ autoDestroy: false }).catch(notTokens(path));
    for (let i = 0; i < reader.numRecordBatches; i++) {
      const batch = await reader.readRecordBatch(i).catch(notTokens(path));
      if (batch !== null) yield* documentsOf(batch);
    }
  } finally {
    await handle.close();
  }
}

function* documentsOf(batch: RecordBatch): Generator<TokenDocument> {
  const column = (name: string) => batch.getChild(name)!;
  const [ids, sources, languages, counts] = ["doc_id", "source", "language", "n_tokens"].map(column);
  const tokens = tokenValues(batch);
  let start = 0;
  for (let row = 0; row < batch.numRows; row++) {
    const end = start + (counts!.get(row) as number);
    yield {
      docId: Buffer.from(ids!.get(row) as Uint8Array).toString("hex"),
      source: sources!.get(row) as string,
      language: languages!.get(row) as string,
      tokens: tokens.slice(start, end),
    };
    start = end;
  }
}
