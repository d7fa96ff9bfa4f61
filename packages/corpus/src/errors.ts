import { StageError } from "@diffucoder/lineage";

/** A source that a card names is not to be had now. */
export class SourceMissing extends StageError {
  constructor(card: string, what: string, next: string, options: { readonly retryable?: boolean } = {}) {
    super({ code: "SourceMissing", message: `card ${card}: expected ${what}. ${next}`, retryable: options.retryable ?? false, details: { card, what } });
  }
}

const waiverOf = (card: string, subject: string, found: string): string => `waivers: [{ card: ${card}, subject: ${subject}, found: "${found}", reason: ... }]`;

/** A source is there, but not the one that its card describes. */
export class SourceDrift extends StageError {
  /** @param isWaivable whether a waiver in the recipe can let this finding pass */
  constructor(card: string, subject: string, expected: string, found: string, { isWaivable = false } = {}) {
    const next = isWaivable ? `, review the change and update the card, or waive it in the recipe: ${waiverOf(card, subject, found)}.` : ", or review the change and update the card.";
    super({
      code: "SourceDrift",
      message: `card ${card}, ${subject}: expected ${expected}, found ${found}. Fetch the right revision${next}`,
      retryable: false,
      details: { card, subject, expected, found },
    });
  }
}

/** A source became another one while it was read. */
export class SourceChanged extends StageError {
  constructor(card: string) {
    super({
      code: "SourceChanged",
      message: `card ${card}: expected its files to stay as they were when the run began, found others. Leave the source alone, then \`diffucoder retry\`.`,
      retryable: true,
      details: { card },
    });
  }
}

/** A file of a source cannot be read to its end: cut off, malformed, or made to swell. */
export class SourceCorrupt extends StageError {
  constructor(facts: { card: string; file: string; row: number; problem: string; cause?: unknown }) {
    const { card, file, row, problem, cause } = facts;
    super({
      code: "SourceCorrupt",
      message: `card ${card}, ${file}, after row ${row}: ${problem}. Fetch the file again, or take it out of the card.`,
      retryable: false,
      details: { card, file, row, problem },
      cause,
    });
  }
}

export class InvalidCard extends StageError {
  constructor(path: string, problem: string) {
    super({ code: "InvalidCard", message: `data card ${path}: ${problem}`, retryable: false, details: { path } });
  }
}

/** A stage inside the corpus dropped more of a source than its card allows. */
export class LossAlarm extends StageError {
  constructor(card: string, subject: string, expected: string, found: string) {
    super({
      code: "LossAlarm",
      message:
        `card ${card}, ${subject}: expected ${expected}, found ${found}. ` +
        `Look at what was dropped; then change the filter, raise \`largestLoss\` in the card, or waive it in the recipe: ${waiverOf(card, subject, found)}.`,
      retryable: false,
      details: { card, subject, expected, found },
    });
  }
}

/** Nothing is left to train on. */
export class EmptyCorpus extends StageError {
  constructor(drops: Readonly<Record<string, number>>) {
    super({ code: "EmptyCorpus", message: `corpus: expected documents, found none; dropped ${JSON.stringify(drops)}. Loosen the cards' filters or add sources.`, retryable: false, details: { drops } });
  }
}
