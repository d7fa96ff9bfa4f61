import { Weights, readCheckpointJson, readCheckpointText, requireCheckpointFile, type FileOf, type NamedTensor } from "@diffucoder/formats";
import { Tokenizer } from "@diffucoder/tokenizer";
import { fromHuggingFace, type ModelConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import { checkVocabulary, modelTensors } from "./hugging-face.ts";

/** A model out of a checkpoint, whose parts belong together. */
export interface LoadedModel {
  readonly model: ModelConfig;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly tokenizer: Tokenizer;
  /** `tokenizer.json` as it is. */
  readonly tokenizerJson: string;
}

/**
 * The way into a checkpoint for all that begin with one: `config.json`, `tokenizer.json` and the weights, in one file or in
 * shards, are read and checked against each other, names, shapes and types before the first number.
 *
 * @throws FormatError, TokenizerError or ModelError naming file and tensor or token, what was expected and found, and what helps
 */
export async function loadModel(fileOf: FileOf): Promise<LoadedModel> {
  const model = fromHuggingFace(await readCheckpointJson(fileOf, "config.json"));
  const tokenizerJson = await readCheckpointText(fileOf, "tokenizer.json");
  const tokenizer = Tokenizer.fromJson(tokenizerJson);
  checkVocabulary(model, tokenizer);
  return { model, parameters: await readParameters(model, await Weights.open(fileOf)), tokenizer, tokenizerJson };
}

/**
 * Other weights of a model that has been loaded, such as those of an earlier step.
 *
 * @param name of a file of the checkpoint
 * @throws FormatError or ModelError naming file and tensor, as `loadModel`
 */
export async function loadParameters(model: ModelConfig, fileOf: FileOf, name: string): Promise<ReadonlyMap<string, NamedTensor>> {
  return readParameters(model, await Weights.ofFile(await requireCheckpointFile(fileOf, name)));
}

/** Closes the weights when they are read. */
async function readParameters(model: ModelConfig, weights: Weights): Promise<ReadonlyMap<string, NamedTensor>> {
  try {
    const parameters = new Map<string, NamedTensor>();
    for (const { name } of await modelTensors(model, weights)) {
      const tensor = await weights.read(name);
      const odd = tensor.data.findIndex((value) => !Number.isFinite(value));
      if (odd >= 0) throw new ModelError("WrongParameters", `${weights.entry(name)!.file}: tensor ${name}: expected finite numbers, found ${tensor.data[odd]} at ${odd}. Use an earlier checkpoint, of before the training diverged.`);
      parameters.set(name, tensor);
    }
    return parameters;
  } finally {
    await weights.close();
  }
}
