import type { Drop } from "../drop.ts";
import { DROPPING_STAGES, type DroppingStage } from "../dropping-stages.ts";

export interface Amount {
  files: number;
  bytes: number;
}

/** What came to a stage, and what it dropped, by reason. */
export interface StageFlow {
  readonly stage: DroppingStage;
  readonly entered: Amount;
  readonly dropped: Readonly<Record<string, Amount>>;
}

/** Counts files and bytes on their way through the stages: in all, by source and by language. */
export class CorpusFlow {
  readonly total = new Account();
  readonly bySource = new Map<string, Account>();
  readonly byLanguage = new Map<string, Account>();
  /** The first files of each reason. */
  readonly examples: Record<string, Drop[]> = {};
  readonly #languageOf: (docId: string) => string;

  constructor(languageOf: (docId: string) => string) {
    this.#languageOf = languageOf;
  }

  /** Takes a file into account. @param stage that drops it */
  add(file: { docId: string | undefined; sizeBytes: number; stage: DroppingStage | undefined; drop: Partial<Drop> & { source: string } }): void {
    const { docId, sizeBytes, stage, drop } = file;
    const reason = drop.reason === undefined ? undefined : reasonOf(drop as Drop);
    const language = docId === undefined ? "unknown" : this.#languageOf(docId);
    for (const account of [this.total, accountOf(this.bySource, drop.source), accountOf(this.byLanguage, language)]) account.add(sizeBytes, stage, reason);
    if (reason === undefined) return;
    const examples = (this.examples[reason] ??= []);
    if (examples.length < EXAMPLES) examples.push(drop as Drop);
  }
}

const EXAMPLES = 5;

/** Such as `binary`, or `quality num_words`. */
export const reasonOf = ({ reason, rule }: Drop): string => (rule === undefined ? reason : `${reason} ${rule}`);

function accountOf(accounts: Map<string, Account>, name: string): Account {
  const found = accounts.get(name) ?? new Account();
  accounts.set(name, found);
  return found;
}

export class Account {
  readonly all: Amount = { files: 0, bytes: 0 };
  readonly kept: Amount = { files: 0, bytes: 0 };
  readonly #dropped = new Map<DroppingStage, Map<string, Amount>>();

  add(bytes: number, stage: DroppingStage | undefined, reason: string | undefined): void {
    count(this.all, bytes);
    if (stage === undefined || reason === undefined) return count(this.kept, bytes);
    const reasons = this.#dropped.get(stage) ?? new Map<string, Amount>();
    this.#dropped.set(stage, reasons);
    const amount = reasons.get(reason) ?? { files: 0, bytes: 0 };
    reasons.set(reason, amount);
    count(amount, bytes);
  }

  /** Stages that something came to, in their order. */
  stages(): StageFlow[] {
    const entered = { ...this.all };
    return DROPPING_STAGES.map((stage) => {
      const dropped = [...(this.#dropped.get(stage) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
      const flow = { stage, entered: { ...entered }, dropped: Object.fromEntries(dropped) };
      for (const [, { files, bytes }] of dropped) [entered.files, entered.bytes] = [entered.files - files, entered.bytes - bytes];
      return flow;
    });
  }
}

function count(amount: Amount, bytes: number): void {
  amount.files++;
  amount.bytes += bytes;
}
