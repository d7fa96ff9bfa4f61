import { StageError } from "@diffucoder/lineage";

/** A source that a card names is not to be had now. */
export class SourceMissing extends StageError {
  constructor(card: string, what: string, next: string) {
    super({ code: "SourceMissing", message: `card ${card}: expected ${what}. ${next}`, retryable: false, details: { card, what } });
  }
}

/** A source is there, but not the one that its card describes. */
export class SourceDrift extends StageError {
  constructor(card: string, subject: string, expected: string, found: string) {
    super({
      code: "SourceDrift",
      message: `card ${card}, ${subject}: expected ${expected}, found ${found}. Fetch the right revision, or review the change and update the card.`,
      retryable: false,
      details: { card, subject, expected, found },
    });
  }
}

export class InvalidCard extends StageError {
  constructor(path: string, problem: string) {
    super({ code: "InvalidCard", message: `data card ${path}: ${problem}`, retryable: false, details: { path } });
  }
}

/** Nothing is left to train on. */
export class EmptyCorpus extends StageError {
  constructor(drops: Readonly<Record<string, number>>) {
    super({ code: "EmptyCorpus", message: `corpus: expected documents, found none; dropped ${JSON.stringify(drops)}. Loosen the cards' filters or add sources.`, retryable: false, details: { drops } });
  }
}
