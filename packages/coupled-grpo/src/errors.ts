import { StageError } from "@diffucoder/lineage";

/** No instruction-tuned checkpoint lies where reinforcement can learn: the recipe before this stage is at fault. */
export class NoStartInWindow extends StageError {
  constructor(measured: readonly { step: number; passRate: number; mixedGroups: number }[], window: string) {
    const table = measured
      .map((m) => `step ${m.step}: pass rate ${m.passRate.toFixed(3)}, mixed groups ${m.mixedGroups.toFixed(2)}`)
      .join("; ");
    super({
      code: "NoStartInWindow",
      message:
        `start checkpoint: expected one with ${window}, found ${table}. ` +
        "Change how long instruction tuning runs or which steps it keeps (recipe.keepSteps), or set recipe.start.rule to final.",
      retryable: false,
      details: { measured: measured.map((m) => ({ ...m })), window },
    });
  }
}

/** Every score is missing: the sandbox failed. Nothing can be learned from that, and no checkpoint judged by it. */
export class NoRewards extends StageError {
  /** @param subject what was scored, such as `round 3` */
  constructor(subject: string, completions: number) {
    super({
      code: "NoRewards",
      message: `${subject}: expected scored completions, found ${completions} sandbox faults and nothing else. Run \`diffucoder doctor\`, then retry.`,
      retryable: true,
      details: { subject, completions },
    });
  }
}
