import { readCheckpointMetrics, type MetricsLine } from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore } from "@diffucoder/lineage";
import { loadModel, type LoadedModel } from "@diffucoder/model";
import { z } from "zod";

const trainingSummary = z.object({
  stage: z.string(),
  steps: z.number(),
  tokens: z.number(),
  validationLossAtStart: z.number(),
  validationLossAtEnd: z.number(),
  uniformLoss: z.number(),
});

/** What checkpoints tell about the stages that trained them; foreign ones tell nothing. */
const checkpointMeta = z.object({
  stage: z.string().default("unknown"),
  step: z.number().default(0),
  history: z.array(trainingSummary).default([]),
});

export type TrainingSummary = z.infer<typeof trainingSummary>;

export interface EvaluatedCheckpoint extends LoadedModel, z.infer<typeof checkpointMeta> {
  readonly ref: ArtifactRef;
  readonly metrics: readonly MetricsLine[];
}

/** @throws ModelError, TokenizerError, FormatError, ArtifactMissing or ArtifactCorrupt when the checkpoint is not whole */
export async function loadEvaluated(artifacts: ArtifactStore, ref: ArtifactRef): Promise<EvaluatedCheckpoint> {
  const fileOf = (path: string) => artifacts.file(ref, path, { verify: true });
  const meta = checkpointMeta.parse((await artifacts.manifest(ref)).meta);
  return { ref, ...(await loadModel(fileOf)), metrics: await readCheckpointMetrics(fileOf), ...meta };
}
