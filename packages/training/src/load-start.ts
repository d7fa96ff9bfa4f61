import { loadCheckpoint, type MetricsLine, type NamedTensor } from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore } from "@diffucoder/lineage";
import { checkParameters, fromHuggingFace, type ModelConfig } from "@diffucoder/model";
import type { TrainingSummary } from "./training-summary.ts";

/** A model as a stage begins with it. */
export interface StartingModel {
  readonly model: ModelConfig;
  readonly parameters: ReadonlyMap<string, NamedTensor>;
  readonly tokenizerJson: string;
  /** Summaries and metrics of the stages that trained it, oldest first. */
  readonly history: readonly TrainingSummary[];
  readonly metrics: readonly MetricsLine[];
}

/** @throws ModelError, FormatError or ArtifactMissing when the checkpoint is not whole */
export async function loadStart(artifacts: ArtifactStore, ref: ArtifactRef): Promise<StartingModel> {
  const { config, parameters, tokenizerJson, metrics } = await loadCheckpoint((path) => artifacts.file(ref, path));
  const model = fromHuggingFace(config);
  checkParameters(model, parameters);
  const { history = [] } = (await artifacts.manifest(ref)).meta as { history?: readonly TrainingSummary[] };
  return { model, parameters, tokenizerJson, history, metrics };
}
