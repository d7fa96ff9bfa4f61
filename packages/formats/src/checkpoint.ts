import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FormatError } from "./errors.ts";
import { formatMetrics, parseMetrics, type MetricsLine } from "./metrics.ts";
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
 * @param fileOf absolute path of a file of the checkpoint; weights may lie in one file or in shards
 * @param withOptimizer also read the moments, to continue the same training
 * @throws FormatError naming the file and tensor
 */
export async function loadCheckpoint(fileOf: (path: string) => Promise<string>, withOptimizer = false): Promise<Checkpoint> {
  const text = async (path: string) => readFile(await fileOf(path), "utf8");
  const json = async (path: string): Promise<Record<string, unknown>> => {
    try {
      return objectSchema.parse(JSON.parse(await text(path)));
    } catch (error) {
      if (!(error instanceof SyntaxError) && !(error instanceof z.ZodError)) throw error;
      const found = error instanceof SyntaxError ? error.message : z.prettifyError(error);
      throw new FormatError("CheckpointCorrupt", await fileOf(path), `expected a JSON object, found ${found}`, "Use another checkpoint");
    }
  };
  const metricsPath = await fileOf("metrics.jsonl");
  return {
    config: await json("config.json"),
    parameters: await readWeights(fileOf),
    tokenizerJson: await text("tokenizer.json"),
    trainerState: await json("trainer_state.json"),
    metrics: parseMetrics(await readFile(metricsPath, "utf8"), metricsPath),
    optimizer: withOptimizer ? splitMoments(await readSafetensors(await fileOf("optimizer.safetensors"))) : undefined,
  };
}

async function readWeights(fileOf: (path: string) => Promise<string>): Promise<Map<string, NamedTensor>> {
  const weights = await Weights.open(fileOf);
  try {
    return await weights.readAll();
  } finally {
    await weights.close();
  }
}

const objectSchema = z.record(z.string(), z.unknown());

function prefixed(prefix: string, tensors: ReadonlyMap<string, NamedTensor>): [string, NamedTensor][] {
  return [...tensors].map(([name, tensor]) => [`${prefix}.${name}`, tensor]);
}

function splitMoments(moments: ReadonlyMap<string, NamedTensor>) {
  const withPrefix = (prefix: string) =>
    new Map([...moments].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]));
  return { first: withPrefix("first."), second: withPrefix("second.") };
}
