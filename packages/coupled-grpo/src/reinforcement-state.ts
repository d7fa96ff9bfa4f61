import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadCheckpoint, readSafetensors, saveCheckpoint, writeSafetensors, type Checkpoint, type MetricsLine, type NamedTensor } from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore } from "@diffucoder/lineage";
import type { Measurement } from "./choose-start.ts";

/** Everything coupled-GRPO knows between two rounds, apart from the policy's weights and optimizer. */
export interface ReinforcementState {
  /** Rounds done. Random streams are keyed by it, so it is also their position. */
  round: number;
  /** Step of the instruction tuning that the policy began with, and how it was chosen. */
  readonly startStep: number;
  readonly measured: readonly Measurement[];
  reference: ReadonlyMap<string, NamedTensor>;
  readonly metrics: MetricsLine[];
  /** One line of JSON for each completion sampled. */
  readonly rollouts: string[];
}

export const ROLLOUTS_FILE = "rollouts.jsonl";
const REFERENCE_FILE = "reference.safetensors";

type Weights = Pick<Checkpoint, "config" | "parameters" | "tokenizerJson" | "optimizer">;

/** Writes a directory from which `readReinforcement` goes on to the bit. */
export async function writeReinforcement(directory: string, state: ReinforcementState, weights: Weights): Promise<void> {
  const { round, startStep, measured, metrics } = state;
  await saveCheckpoint(directory, { ...weights, metrics, trainerState: { step: round, startStep, measured } });
  await writeSafetensors(join(directory, REFERENCE_FILE), state.reference);
  await writeFile(join(directory, ROLLOUTS_FILE), state.rollouts.map((line) => `${line}\n`).join(""));
}

export async function readReinforcement(artifacts: ArtifactStore, ref: ArtifactRef): Promise<{ state: ReinforcementState; checkpoint: Checkpoint }> {
  const fileOf = (path: string) => artifacts.file(ref, path);
  const checkpoint = await loadCheckpoint(fileOf, true);
  const { step, startStep, measured } = checkpoint.trainerState as { step: number; startStep: number; measured: Measurement[] };
  const rollouts = (await readFile(await fileOf(ROLLOUTS_FILE), "utf8")).split("\n").slice(0, -1);
  const reference = await readSafetensors(await fileOf(REFERENCE_FILE));
  return { state: { round: step, startStep, measured, reference, metrics: [...checkpoint.metrics], rollouts }, checkpoint };
}
