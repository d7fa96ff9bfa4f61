import { loadCheckpoint, type Checkpoint } from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore } from "@diffucoder/lineage";
import { fromHuggingFace, type ModelConfig } from "@diffucoder/model";
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

export interface EvaluatedCheckpoint extends z.infer<typeof checkpointMeta> {
  readonly ref: ArtifactRef;
  readonly model: ModelConfig;
  readonly checkpoint: Checkpoint;
}

export async function loadEvaluated(artifacts: ArtifactStore, ref: ArtifactRef): Promise<EvaluatedCheckpoint> {
  const checkpoint = await loadCheckpoint((path) => artifacts.file(ref, path));
  const model = fromHuggingFace(checkpoint.config);
  const meta = checkpointMeta.parse((await artifacts.manifest(ref)).meta);
  return { ref, model, checkpoint, ...meta };
}
