import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeShards } from "@diffucoder/formats";
import { sha256, type ArtifactRef, type Store } from "@diffucoder/lineage";
import { openFilesOf } from "@diffucoder/test-kit";
import { Tokenizer } from "@diffucoder/tokenizer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Workplace, documentsOf } from "../test/fixtures.ts";
import { checkTokenizer, openTrainingShards } from "./open-shards.ts";

const tokenizerJson = new Tokenizer([[64, 65]]).toJson();
let workplace: Workplace;
beforeAll(async () => {
  workplace = await Workplace.open();
});
afterAll(() => workplace.close());

/** Publishes shards as tokenizing leaves them, changed by `change` before. */
async function published(change: (directory: string) => Promise<unknown> = async () => {}): Promise<{ store: Store; ref: ArtifactRef }> {
  const directory = await workplace.directory();
  for (const split of ["train", "validation"]) await writeShards(join(directory, split), documentsOf(split, split === "train" ? 9 : 3), { vocabSize: 24, tokenizerSha256: "0" });
  await writeFile(join(directory, "tokenizer.json"), tokenizerJson);
  await change(directory);
  const store = await workplace.store();
  return { store, ref: await store.artifacts.publish("shards", directory, {}) };
}

test("both splits and the tokenizer are opened, and closed together", async () => {
  const { store, ref } = await published();
  const shards = await openTrainingShards(store.artifacts, ref);
  expect([shards.train.documentCount, shards.validation.documentCount]).toEqual([9, 3]);
  expect(shards.tokenizerJson).toBe(tokenizerJson);
  expect(shards.tokenizer.toJson()).toBe(tokenizerJson);
  expect(openFilesOf(store)).toHaveLength(2);
  await shards.close();
  expect(openFilesOf(store)).toEqual([]);
});

test.each(["train", "validation"])("a damaged shard of the %s split is found before anything is trained on it", async (split) => {
  const { store, ref } = await published();
  const path = await store.artifacts.file(ref, `${split}/shard-00000.arrow`);
  const bytes = await readFile(path);
  bytes[bytes.length >> 1]! ^= 1; // the size stays
  await chmod(path, 0o644);
  await writeFile(path, bytes);
  await expect(openTrainingShards(store.artifacts, ref)).rejects.toMatchObject({ code: "ShardCorrupt", message: expect.stringContaining(path) as string });
  expect(openFilesOf(store)).toEqual([]);
});

test.each(["train/manifest.json", "validation/manifest.json", "tokenizer.json"])("shards without %s are refused, and no file stays open", async (file) => {
  const { store, ref } = await published((directory) => rm(join(directory, file)));
  await expect(openTrainingShards(store.artifacts, ref)).rejects.toMatchObject({ code: "ArtifactMissing", message: expect.stringContaining(file) as string });
  expect(openFilesOf(store)).toEqual([]);
});

test("a tokenizer that cannot be read is refused, and no file stays open", async () => {
  const { store, ref } = await published((directory) => writeFile(join(directory, "tokenizer.json"), "{}"));
  await expect(openTrainingShards(store.artifacts, ref)).rejects.toMatchObject({ code: "TokenizerCorrupt" });
  expect(openFilesOf(store)).toEqual([]);
});

test("shards of another tokenizer than the model's are refused with both digests", () => {
  expect(() => checkTokenizer({ tokenizerJson }, tokenizerJson)).not.toThrow();
  const other = new Tokenizer([[64, 66]]).toJson();
  const [expected, found] = [sha256(other).slice(0, 12), sha256(tokenizerJson).slice(0, 12)];
  const check = () => checkTokenizer({ tokenizerJson }, other);
  expect(check).toThrow(`shards: expected the checkpoint's tokenizer (sha256 ${expected}), found another (${found}). Tokenize the documents with`);
  expect(check).toThrow(expect.objectContaining({ code: "UnusableData", retryable: false }) as Error);
});
