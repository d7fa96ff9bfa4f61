import type { CorpusRecipe } from "./config.ts";
import { SourceDrift } from "./errors.ts";

export type Waiver = CorpusRecipe["waivers"][number];

/** A difference between a card and its data, or a loss beyond what a card allows, that the recipe lets pass. */
export interface Waived extends Waiver {
  readonly expected: string;
}

/**
 * Compares what cards say with what is found. A waiver lifts one difference: the same card, subject and finding, so that
 * the next drift is an error again. It stands in the recipe, hence in the stage key, the run's record and the report.
 */
export class CardCheck {
  readonly used: Waived[] = [];
  readonly #waivers: readonly Waiver[];

  constructor(waivers: readonly Waiver[] = []) {
    this.#waivers = waivers;
  }

  /** @throws SourceDrift unless they are equal or waived */
  expect(card: string, subject: string, expected: string, found: string): void {
    if (expected !== found && !this.waive(card, subject, expected, found)) throw new SourceDrift(card, subject, expected, found, { isWaivable: true });
  }

  /** Whether the recipe lets this finding pass. */
  waive(card: string, subject: string, expected: string, found: string): boolean {
    const waiver = this.#waivers.find((each) => each.card === card && each.subject === subject && each.found === found);
    if (waiver === undefined) return false;
    if (!this.used.some((each) => each.card === card && each.subject === subject)) this.used.push({ ...waiver, expected });
    return true;
  }
}
