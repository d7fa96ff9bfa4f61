import { Weights, readCheckpointJson, readCheckpointText, requireCheckpointFile, type FileOf, type NamedTensor } from "@diffucoder/formats";
import { Tokenizer } from "@diffucoder/tokenizer";
import { fromHuggingFace, type ModelConfig } from "./config.ts";
import { checkVocabulary, modelTensors, type ModelTensor } from "./hugging-face.ts";

/** A model out of a checkpoint, whose parts belong together. */
export interface LoadedModel {
  readonly model: ModelConfig;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly tokenizer: Tokenizer;
  /** `tokenizer.json` as it is. */
  readonly tokenizerJson: string;
}

/** A model in a checkpoint, whose parts belong together; close it when its tensors are read. */
export interface OpenModel extends Omit<LoadedModel, "parameters"> {
  /** In the order of the model's layers. */
  readonly tensors: readonly ModelTensor[];
  close(): Promise<void>;
}

/**
 * The way into a checkpoint for all that begin with one: `config.json`, `tokenizer.json` and the weights, in one file or in
 * shards, are read and checked against each other, names, shapes and types before the first number.
 *
 * @throws FormatError, TokenizerError or ModelError naming file and tensor or token, what was expected and found, and what helps
 */
export async function loadModel(fileOf: FileOf): Promise<LoadedModel> {
  const { tensors, close, ...rest } = await openModel(fileOf);
  return { ...rest, parameters: await readAll(tensors).finally(close) };
}

/** As `loadModel`, for what needs one tensor at a time: a model may be larger than the memory. */
export async function openModel(fileOf: FileOf): Promise<OpenModel> {
  const model = fromHuggingFace(await readCheckpointJson(fileOf, "config.json"));
  const tokenizerJson = await readCheckpointText(fileOf, "tokenizer.json");
  const tokenizer = Tokenizer.fromJson(tokenizerJson);
  checkVocabulary(model, tokenizer);
  return { model, tokenizer, tokenizerJson, ...(await openTensors(model, await Weights.open(fileOf))) };
}

/**
 * Other weights of a model that has been loaded, such as those of an earlier step.
 *
 * @param name of a file of the checkpoint
 * @throws FormatError or ModelError naming file and tensor, as `loadModel`
 */
export async function loadParameters(model: ModelConfig, fileOf: FileOf, name: string): Promise<ReadonlyMap<string, NamedTensor>> {
  const { tensors, close } = await openTensors(model, await Weights.ofFile(await requireCheckpointFile(fileOf, name)));
  return readAll(tensors).finally(close);
}

async function openTensors(model: ModelConfig, weights: Weights): Promise<Pick<OpenModel, "tensors" | "close">> {
  try {
    return { tensors: await modelTensors(model, weights), close: () => weights.close() };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

async function readAll(tensors: readonly ModelTensor[]): Promise<Map<string, NamedTensor>> {
  const parameters = new Map<string, NamedTensor>();
  for (const { name, shape, numbers } of tensors) parameters.set(name, { shape, data: await numbers() });
  return parameters;
}
