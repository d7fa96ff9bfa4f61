import type { StageStatus } from "@diffucoder/orchestrator";
import { formatDuration } from "./quantities.ts";

/** Where a stage was when it was first seen in one attempt at one kind of work, to tell its rate from. */
interface Origin {
  readonly work: string;
  readonly step: number;
  readonly at: number;
}

/** Describes stages in a line each: state, step, rate, time left, newest figures. Remembers what a rate needs. */
export class StageLines {
  readonly #origins = new Map<string, Origin>();

  describe(stage: StageStatus, now: number): string {
    const { state, attempt, error, summary, wallMs } = stage;
    switch (state) {
      case "waiting":
        return "waiting";
      case "running": {
        const again = attempt > 1 ? ` (attempt ${attempt}${error === undefined ? "" : `, after ${error.code}`})` : "";
        return `${this.#progressOf(stage, now)}${again}`;
      }
      case "cached":
        return `cached (made in ${formatDuration(wallMs ?? 0)})${figuresOf(summary)}`;
      case "done":
        return `done in ${formatDuration(wallMs ?? 0)}${figuresOf(summary)}`;
      case "parked":
      case "failed":
        return `${state}: ${error?.message ?? "no reason given"}`;
      default:
        return state;
    }
  }

  #progressOf({ id, attempt, progress }: StageStatus, now: number): string {
    if (progress === undefined) return "starting";
    const { step, totalSteps, unit, metrics = {}, note } = progress;
    const work = `${attempt} ${unit}`;
    let origin = this.#origins.get(id);
    if (origin === undefined || origin.work !== work || step < origin.step) {
      origin = { work, step, at: now };
      this.#origins.set(id, origin);
    }
    const parts = [`${unit} ${step} of ${totalSteps}`];
    const perSecond = (1000 * (step - origin.step)) / (now - origin.at);
    if (perSecond > 0 && Number.isFinite(perSecond)) parts.push(`${formatRate(perSecond)}, ${formatDuration((1000 * (totalSteps - step)) / perSecond)} left`);
    for (const [name, value] of Object.entries(metrics)) parts.push(`${name} ${value.toFixed(3)}`);
    if (note !== undefined) parts.push(note);
    return parts.join(", ");
  }
}

function formatRate(perSecond: number): string {
  return perSecond >= 1 ? `${perSecond.toFixed(1)}/s` : `${(60 * perSecond).toFixed(1)}/min`;
}

/** The figures of a finished stage that tell most. */
function figuresOf(summary: StageStatus["summary"]): string {
  const { validationLossAtStart: start, validationLossAtEnd: end, documents, vocabSize, rewardAtStart, rewardAtEnd } = summary ?? {};
  if (typeof start === "number" && typeof end === "number") return `, validation loss ${start.toFixed(3)} -> ${end.toFixed(3)}`;
  if (typeof rewardAtStart === "number" && typeof rewardAtEnd === "number") return `, reward ${rewardAtStart.toFixed(3)} -> ${rewardAtEnd.toFixed(3)}`;
  if (typeof documents === "number") return `, ${documents} documents`;
  return typeof vocabSize === "number" ? `, vocabulary of ${vocabSize}` : "";
}
