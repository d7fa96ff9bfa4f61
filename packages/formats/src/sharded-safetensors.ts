import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeMismatch } from "@diffucoder/lineage";
import { z } from "zod";
import { findCheckpointFile, requireCheckpointFile, type CheckpointFile, type FileOf } from "./checkpoint-files.ts";
import { DTYPE_BYTES } from "./half-precision.ts";
import { SafetensorsFile, corrupt, tensorBytes, writeTensors, type NamedTensor, type TensorEntry, type TensorToWrite } from "./safetensors.ts";

/** The weights of a model in one file, and the list of files when there are several. */
export const WEIGHTS_FILE = "model.safetensors";
export const WEIGHTS_INDEX = "model.safetensors.index.json";

/** The weights of a model, in one file or several; each tensor is read when asked for. */
export class Weights {
  readonly #files: readonly SafetensorsFile[];
  readonly #fileOf = new Map<string, SafetensorsFile>();

  private constructor(files: readonly SafetensorsFile[]) {
    this.#files = files;
    for (const file of files) for (const name of file.tensors.keys()) this.#fileOf.set(name, file);
  }

  /**
   * One file goes before shards, as in `transformers`: what lies beside it is of an earlier model.
   *
   * @param fileOf of a file beside `config.json`
   * @throws FormatError naming the file and the tensor when a shard is missing, damaged or not what the index says
   */
  static async open(fileOf: FileOf): Promise<Weights> {
    const whole = await findCheckpointFile(fileOf, WEIGHTS_FILE);
    const index = whole === undefined ? await findCheckpointFile(fileOf, WEIGHTS_INDEX) : undefined;
    if (index === undefined) return Weights.ofFile(whole ?? (await requireCheckpointFile(fileOf, WEIGHTS_FILE)));
    const wanted = await readIndex(index);
    const files: SafetensorsFile[] = [];
    try {
      for (const [shard, names] of wanted) files.push(await openShard(fileOf, index, shard, names));
    } catch (error) {
      await Promise.all(files.map((file) => file.close()));
      throw error;
    }
    return new Weights(files);
  }

  /** The weights in one file, whatever its name. */
  static async ofFile(file: CheckpointFile): Promise<Weights> {
    return new Weights([await SafetensorsFile.open(file)]);
  }

  /** The files, as messages show them. */
  get files(): string[] {
    return this.#files.map(({ shownAs }) => shownAs);
  }

  /** Names in the order of the files. */
  names(): string[] {
    return [...this.#fileOf.keys()];
  }

  /** What a header says of a tensor, and the file that holds it; undefined when none does. */
  entry(name: string): (TensorEntry & { readonly file: string }) | undefined {
    const file = this.#fileOf.get(name);
    return file === undefined ? undefined : { ...file.tensors.get(name)!, file: file.shownAs };
  }

  async read(name: string): Promise<NamedTensor> {
    return this.#holder(name).read(name);
  }

  /** Little-endian numbers as they stand in the file. */
  async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.#holder(name).readBytes(name);
  }

  async readAll(): Promise<Map<string, NamedTensor>> {
    const tensors = new Map<string, NamedTensor>();
    for (const name of this.names()) tensors.set(name, await this.read(name));
    return tensors;
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }

  #holder(name: string): SafetensorsFile {
    return this.#fileOf.get(name) ?? this.#files[0]!; // which then says that it has none
  }
}

/**
 * Writes the weights of a model as `model.safetensors` or, where that would pass a size, as numbered shards with an
 * index: tensors keep their order, and a shard is closed by the first that does not fit.
 *
 * @returns names of the files
 */
export async function writeWeights(directory: string, tensors: readonly TensorToWrite[], shardBytes = DEFAULT_SHARD_BYTES): Promise<string[]> {
  const shards: TensorToWrite[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor);
    if (filled > 0 && filled + bytes > shardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push(tensor);
    filled += bytes;
  }
  if (shards.length === 1) {
    await writeTensors(join(directory, WEIGHTS_FILE), tensors);
    return [WEIGHTS_FILE];
  }
  const five = (number: number) => String(number).padStart(5, "0");
  const names = shards.map((_, i) => `model-${five(i + 1)}-of-${five(shards.length)}.safetensors`);
  for (const [i, shard] of shards.entries()) await writeTensors(join(directory, names[i]!), shard);
  const weightMap = shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]!] as const)).sort(([a], [b]) => (a < b ? -1 : 1));
  const numbers = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor) / DTYPE_BYTES[tensor.dtype], 0);
  const metadata = { total_parameters: numbers, total_size: tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0) };
  await writeFile(join(directory, WEIGHTS_INDEX), `${JSON.stringify({ metadata, weight_map: Object.fromEntries(weightMap) }, null, 2)}\n`);
  return [...names, WEIGHTS_INDEX];
}

/** As Hugging Face's hub asks for. */
const DEFAULT_SHARD_BYTES = 5e9;

async function openShard(fileOf: FileOf, index: CheckpointFile, shard: string, names: readonly string[]): Promise<SafetensorsFile> {
  const found = await findCheckpointFile(fileOf, shard);
  if (found === undefined) throw corrupt(index.shownAs, `expected a file ${shard} beside it for tensor ${names[0]}, found none`);
  const file = await SafetensorsFile.open(found);
  const missing = names.find((name) => !file.tensors.has(name));
  const listed = new Set(names);
  const unlisted = [...file.tensors.keys()].find((name) => !listed.has(name));
  if (missing === undefined && unlisted === undefined) return file;
  await file.close();
  throw corrupt(found.shownAs, missing === undefined ? `expected the tensors of ${WEIGHTS_INDEX}, found also ${unlisted}` : `expected tensor ${missing} as in ${WEIGHTS_INDEX}, found none of that name`);
}

/** Names of tensors by the file that holds them, in the order of the files' names. */
async function readIndex({ path, shownAs }: CheckpointFile): Promise<Map<string, string[]>> {
  const json = parseJson(shownAs, await readFile(path, "utf8"));
  const parsed = indexSchema.safeParse(json);
  if (!parsed.success) throw corrupt(shownAs, `expected an index of tensors, found\n${describeMismatch(parsed.error, json)}`);
  const files = new Map<string, string[]>();
  for (const [name, file] of Object.entries(parsed.data.weight_map).sort(([, a], [, b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    files.set(file, [...(files.get(file) ?? []), name]);
  }
  return files;
}

/** A shard lies beside its index, nowhere else. */
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\\0]+\.safetensors$/)).refine((map) => Object.keys(map).length > 0, "expected at least one tensor") });

function parseJson(shownAs: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw corrupt(shownAs, `expected JSON, found ${(error as SyntaxError).message}`);
  }
}
