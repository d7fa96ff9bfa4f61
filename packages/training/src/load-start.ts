import { readCheckpointMetrics, type MetricsLine, type NamedTensor } from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore } from "@diffucoder/lineage";
import { loadModel, type ModelConfig } from "@diffucoder/model";
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

/** @throws ModelError, TokenizerError, FormatError, ArtifactMissing or ArtifactCorrupt when the checkpoint is not whole */
export async function loadStart(artifacts: ArtifactStore, ref: ArtifactRef): Promise<StartingModel> {
  const fileOf = (path: string) => artifacts.file(ref, path, { verify: true });
  const { model, parameters, tokenizerJson } = await loadModel(fileOf);
  const { history = [] } = (await artifacts.manifest(ref)).meta as { history?: readonly TrainingSummary[] };
  return { model, parameters, tokenizerJson, history, metrics: await readCheckpointMetrics(fileOf) };
}
