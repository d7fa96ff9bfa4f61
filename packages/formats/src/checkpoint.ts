import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readCheckpointJson, readCheckpointMetrics, readCheckpointText, requireCheckpointFile, type FileOf } from "./checkpoint-files.ts";
import { formatMetrics, type MetricsLine } from "./metrics.ts";
import { readSafetensors, writeSafetensors, type NamedTensor } from "./safetensors.ts";
import { WEIGHTS_FILE, Weights } from "./sharded-safetensors.ts";

/** A model on disk in the Hugging Face layout, and what its training needs to go on. */
export interface Checkpoint {
  /** `config.json` as it is. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly tokenizerJson: string;
  readonly optimizer?: { readonly first: ReadonlyMap<string, NamedTensor>; readonly second: ReadonlyMap<string, NamedTensor> } | undefined;
  /** Position of the training: steps done and whatever the stage needs to resume to the bit. */
  readonly trainerState: Readonly<Record<string, unknown>>;
  readonly metrics: readonly MetricsLine[];
}

export async function saveCheckpoint(directory: string, checkpoint: Checkpoint): Promise<void> {
  await mkdir(directory, { recursive: true });
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  await writeFile(join(directory, "config.json"), json(checkpoint.config));
  await writeFile(join(directory, "tokenizer.json"), checkpoint.tokenizerJson);
  await writeFile(join(directory, "trainer_state.json"), json(checkpoint.trainerState));
  await writeFile(join(directory, "metrics.jsonl"), formatMetrics(checkpoint.metrics));
  await writeSafetensors(join(directory, WEIGHTS_FILE), checkpoint.parameters);
  if (checkpoint.optimizer === undefined) return;
  const { first, second } = checkpoint.optimizer;
  const moments = new Map([...prefixed("first", first), ...prefixed("second", second)]);
  await writeSafetensors(join(directory, "optimizer.safetensors"), moments);
}

/**
 * Everything that a training goes on from, as it was saved. Whether it fits together is not looked at: `loadModel` of
 * `@diffucoder/model` does, and is the way into a checkpoint that something else begins with.
 *
 * @param withOptimizer also read the moments, to continue the same training
 * @throws FormatError naming the file and tensor
 */
export async function loadCheckpoint(fileOf: FileOf, withOptimizer = false): Promise<Checkpoint> {
  return {
    config: await readCheckpointJson(fileOf, "config.json"),
    parameters: await readWeights(fileOf),
    tokenizerJson: await readCheckpointText(fileOf, "tokenizer.json"),
    trainerState: await readCheckpointJson(fileOf, "trainer_state.json"),
    metrics: await readCheckpointMetrics(fileOf),
    optimizer: withOptimizer ? splitMoments(await readSafetensors(await requireCheckpointFile(fileOf, "optimizer.safetensors"))) : undefined,
  };
}

async function readWeights(fileOf: FileOf): Promise<Map<string, NamedTensor>> {
  const weights = await Weights.open(fileOf);
  try {
    return await weights.readAll();
  } finally {
    await weights.close();
  }
}

function prefixed(prefix: string, tensors: ReadonlyMap<string, NamedTensor>): [string, NamedTensor][] {
  return [...tensors].map(([name, tensor]) => [`${prefix}.${name}`, tensor]);
}

function splitMoments(moments: ReadonlyMap<string, NamedTensor>) {
  const withPrefix = (prefix: string) =>
    new Map([...moments].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]));
  return { first: withPrefix("first."), second: withPrefix("second.") };
}
