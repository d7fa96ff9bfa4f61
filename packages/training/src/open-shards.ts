import { readFile } from "node:fs/promises";
import { openShards, type ShardSet } from "@diffucoder/formats";
import { sha256, type ArtifactRef, type ArtifactStore } from "@diffucoder/lineage";
import { Tokenizer } from "@diffucoder/tokenizer";
import { UnusableData } from "./errors.ts";

/** A `shards` artifact, opened. */
export interface TrainingShards {
  readonly train: ShardSet;
  readonly validation: ShardSet;
  readonly tokenizer: Tokenizer;
  readonly tokenizerJson: string;
  close(): Promise<void>;
}

/**
 * Opens and re-hashes every shard, so that a damaged one is found before anything is trained on it.
 *
 * @throws FormatError `ShardCorrupt` naming the file
 */
export async function openTrainingShards(artifacts: ArtifactStore, ref: ArtifactRef): Promise<TrainingShards> {
  const open = (split: string) => openShards((path) => artifacts.file(ref, `${split}/${path}`), { verify: true });
  const tokenizerJson = await readFile(await artifacts.file(ref, "tokenizer.json"), "utf8");
  const tokenizer = Tokenizer.fromJson(tokenizerJson);
  const train = await open("train");
  const validation = await open("validation").catch(async (error: unknown) => {
    await train.close();
    throw error;
  });
  return {
    train,
    validation,
    tokenizer,
    tokenizerJson,
    close: async () => {
      await train.close();
      await validation.close();
    },
  };
}

/** @throws UnusableData when the shards were made with another tokenizer than the model's */
export function checkTokenizer(shards: Pick<TrainingShards, "tokenizerJson">, modelTokenizerJson: string): void {
  const [expected, found] = [sha256(modelTokenizerJson), sha256(shards.tokenizerJson)];
  if (expected === found) return;
  throw new UnusableData(
    `shards: expected the checkpoint's tokenizer (sha256 ${expected.slice(0, 12)}), found another (${found.slice(0, 12)}). Tokenize the documents with \`tokenizer\` taken from the checkpoint's shards.`,
  );
}
