import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { narrow, writeWeights, type Dtype, type FileOf } from "@diffucoder/formats";
import { sha256, writeFolder } from "@diffucoder/lineage";
import { openModel, toHuggingFace, type HuggingFaceLayout } from "@diffucoder/model";

export interface ExportOptions {
  readonly layout: HuggingFaceLayout;
  /** Of the weights on disk; narrower ones are rounded to the nearest value. */
  readonly dtype: Dtype;
  /** Most bytes of a file of weights; above it there are several and an index. */
  readonly shardBytes?: number;
}

/**
 * Writes a checkpoint as a folder that Hugging Face's libraries load: weights, tensor by tensor, `config.json`, `generation_config.json`, which
 * Dream's classes ask for, and the tokenizer both as `tokenizer.json` and in the files of its class. One key of `config.json` is none of theirs,
 * and kept by them: the digest of the tokenizer, so that another one of as many tokens is found out when the folder is read here again.
 *
 * @param fileOf absolute path of a file of the checkpoint
 * @param folder a new or an empty one, in which the files appear together
 * @returns names of the files
 * @throws FormatError, ModelError or TokenizerError when the checkpoint is not whole; FolderTaken; FolderUnusable; DiskFull
 */
export async function exportModel(fileOf: FileOf, folder: string, { layout, dtype, shardBytes }: ExportOptions): Promise<string[]> {
  const { model, tokenizer, tokenizerJson, tensors, close } = await openModel(fileOf);
  try {
    const end = tokenizer.id("<|endoftext|>");
    const tokens = { bos_token_id: end, eos_token_id: end, pad_token_id: model.padId, mask_token_id: model.maskId };
    const config = { ...toHuggingFace(model, { layout, dtype }), ...CODE[layout], ...tokens, tokenizer_sha256: sha256(tokenizer.toJson()) };
    const texts = { "config.json": json(config), "generation_config.json": json(tokens), "tokenizer.json": tokenizerJson, ...tokenizer.toFiles() };
    const narrowed = tensors.map(({ name, shape, numbers }) => ({ name, shape, dtype, bytes: async () => narrow(await numbers(), dtype) }));
    return await writeFolder(folder, async (incoming) => {
      for (const [name, text] of Object.entries(texts)) await writeFile(join(incoming, name), text);
      return [...Object.keys(texts), ...(await writeWeights(incoming, narrowed, shardBytes))];
    });
  } finally {
    await close();
  }
}

/** Where `transformers` finds classes that are not its own: files to be put beside the weights, from Dream's or DiffuCoder's repository. */
const CODE: Readonly<Record<HuggingFaceLayout, object>> = {
  dream: { auto_map: { AutoConfig: "configuration_dream.DreamConfig", AutoModel: "modeling_dream.DreamModel" } },
  qwen2: {},
};

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
