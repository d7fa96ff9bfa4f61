import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  loadCheckpoint,
  readSafetensors,
  saveCheckpoint,
  writeSafetensors,
  type Checkpoint,
  type MetricsLine,
  type NamedTensor,
} from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore } from "@diffucoder/lineage";
import type { KeptState, Rollback } from "./rollback.ts";
import { LEDGER_FILE, formatLedger, parseLedger, type LedgerEntry } from "./ledger.ts";

/** Everything a training knows between two steps, apart from the weights and the optimizer. */
export interface TrainingState {
  /** Steps done. Random streams are keyed by it, so it is also their position. */
  step: number;
  validationLossAtStart: number;
  readonly metrics: MetricsLine[];
  readonly ledger: LedgerEntry[];
  /** Weights of the steps that the result keeps. */
  readonly candidates: Map<number, ReadonlyMap<string, NamedTensor>>;
  /** Returns to earlier states so far, oldest first. */
  readonly rollbacks: Rollback[];
  /** The state that the next bad step goes back to, where the recipe has a roll-back rule. */
  kept?: KeptState | undefined;
}

/** Where the weights of a kept step lie within a checkpoint. */
export const candidatePath = (step: number): string => `candidates/step-${String(step).padStart(6, "0")}.safetensors`;

/** Writes a directory from which `readTraining` goes on to the bit. */
export async function writeTraining(
  directory: string,
  state: TrainingState,
  weights: Pick<Checkpoint, "config" | "parameters" | "tokenizerJson" | "optimizer">,
): Promise<void> {
  const { step, validationLossAtStart, metrics, ledger, candidates, rollbacks, kept } = state;
  await saveCheckpoint(directory, {
    ...weights,
    metrics,
    trainerState: {
      step,
      validationLossAtStart,
      candidates: [...candidates.keys()],
      ...(rollbacks.length === 0 ? {} : { rollbacks }),
      ...(kept === undefined ? {} : { keptStep: kept.step }),
    },
  });
  await writeFile(join(directory, LEDGER_FILE), formatLedger(ledger));
  for (const [kept, parameters] of candidates) {
    const path = join(directory, candidatePath(kept));
    await mkdir(dirname(path), { recursive: true });
    await writeSafetensors(path, parameters);
  }
  if (kept === undefined) return;
  await mkdir(join(directory, "kept"), { recursive: true });
  await writeSafetensors(join(directory, KEPT_FILES.parameters), kept.parameters);
  await writeSafetensors(join(directory, KEPT_FILES.first), kept.optimizer.first);
  await writeSafetensors(join(directory, KEPT_FILES.second), kept.optimizer.second);
}

const KEPT_FILES = { parameters: "kept/model.safetensors", first: "kept/first-moment.safetensors", second: "kept/second-moment.safetensors" };

export async function readTraining(artifacts: ArtifactStore, ref: ArtifactRef): Promise<{ state: TrainingState; checkpoint: Checkpoint }> {
  const fileOf = (path: string) => artifacts.file(ref, path);
  const checkpoint = await loadCheckpoint(fileOf, true);
  const { step, validationLossAtStart, candidates, rollbacks = [], keptStep } = checkpoint.trainerState as {
    step: number;
    validationLossAtStart: number;
    candidates: number[];
    rollbacks?: Rollback[];
    keptStep?: number;
  };
  const state: TrainingState = {
    step,
    validationLossAtStart,
    metrics: [...checkpoint.metrics],
    ledger: parseLedger(await readFile(await fileOf(LEDGER_FILE), "utf8")),
    candidates: new Map(),
    rollbacks: [...rollbacks],
  };
  for (const kept of candidates) state.candidates.set(kept, await readSafetensors(await fileOf(candidatePath(kept))));
  if (keptStep !== undefined) {
    const tensors = async (file: string) => readSafetensors(await fileOf(file));
    const { parameters, first, second } = KEPT_FILES;
    state.kept = { step: keptStep, parameters: await tensors(parameters), optimizer: { first: await tensors(first), second: await tensors(second) } };
  }
  return { state, checkpoint };
}
