import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { tensorsToWrite, writeWeights, type Dtype, type FileOf } from "@diffucoder/formats";
import { makeFolder, sha256 } from "@diffucoder/lineage";
import { loadModel, toHuggingFace, type HuggingFaceLayout } from "@diffucoder/model";

export interface ExportOptions {
  readonly layout: HuggingFaceLayout;
  /** Of the weights on disk; narrower ones are rounded to the nearest value. */
  readonly dtype: Dtype;
  /** Most bytes of a file of weights; above it there are several and an index. */
  readonly shardBytes?: number;
}

/**
 * Writes a checkpoint as a folder that Hugging Face's libraries load: weights, `config.json`, the tokenizer both as
 * `tokenizer.json` and in the files of its class. One key of `config.json` is none of theirs, and kept by them: the digest of the
 * tokenizer, so that another one of as many tokens is found out when the folder is read here again.
 *
 * @param fileOf absolute path of a file of the checkpoint
 * @returns names of the files
 * @throws FormatError, ModelError or TokenizerError when the checkpoint is not whole; FolderUnusable
 */
export async function exportModel(fileOf: FileOf, folder: string, { layout, dtype, shardBytes }: ExportOptions): Promise<string[]> {
  const { model, parameters, tokenizer, tokenizerJson } = await loadModel(fileOf);
  makeFolder(folder);
  const texts = {
    "config.json": `${JSON.stringify({ ...toHuggingFace(model, { layout, dtype }), tokenizer_sha256: sha256(tokenizer.toJson()) }, null, 2)}\n`,
    "tokenizer.json": tokenizerJson,
    ...tokenizer.toFiles(),
  };
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
  return [...Object.keys(texts), ...(await writeWeights(folder, tensorsToWrite(parameters, dtype), shardBytes))];
}
