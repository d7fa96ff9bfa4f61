import type { JsonObject } from "@diffucoder/lineage";
import type { Rollback } from "./rollback.ts";

/** One training stage in the history of a checkpoint. */
export interface TrainingSummary extends JsonObject {
  readonly stage: string;
  readonly steps: number;
  readonly tokens: number;
  /** Loss on held-out data under fixed noise, in nats per maskable token. */
  readonly validationLossAtStart: number;
  readonly validationLossAtEnd: number;
  /** ln V: what guessing every token alike would cost. */
  readonly uniformLoss: number;
  /** Returns to earlier states, where there were any. */
  readonly rollbacks?: readonly Rollback[];
}
