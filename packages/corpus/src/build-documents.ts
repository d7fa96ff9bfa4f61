import { docIdOf, type DocumentRow } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import { cleanText, type Unreadable } from "./clean-text.ts";
import type { ContaminationIndex } from "./contamination.ts";
import type { DataCard } from "./data-card.ts";
import { NearDuplicateIndex } from "./near-duplicates.ts";
import type { SourceFile } from "./source-file.ts";

export type DropReason = Unreadable | "exact-duplicate" | "near-duplicate" | "contaminated";

/** A file that is not in the corpus, and why. */
export interface Drop {
  readonly source: string;
  readonly path: string;
  readonly reason: DropReason;
  /** The kept document or the benchmark item that it repeats. */
  readonly of?: string;
}

/** Decides file by file what becomes a document; the first of several like files stays. */
export class DocumentBuilder {
  readonly rows: DocumentRow[] = [];
  readonly drops: Drop[] = [];
  readonly #contamination: ContaminationIndex;
  readonly #validationShare: number;
  readonly #seed: number;
  readonly #seen = new Set<string>();
  readonly #nearDuplicates = new Map<number, NearDuplicateIndex>();

  constructor(options: { readonly contamination: ContaminationIndex; readonly validationShare: number; readonly seed: number }) {
    this.#contamination = options.contamination;
    this.#validationShare = options.validationShare;
    this.#seed = options.seed;
  }

  add(card: DataCard, { path, bytes, license, group }: SourceFile): void {
    const drop = (reason: DropReason, of?: string) => this.drops.push({ source: card.id, path, reason, ...(of === undefined ? {} : { of }) });
    const cleaned = cleanText(bytes, card.largestFileBytes);
    if ("reason" in cleaned) return void drop(cleaned.reason);
    const { text } = cleaned;
    const docId = docIdOf(text);
    if (this.#seen.has(docId)) return void drop("exact-duplicate", docId);
    const item = this.#contamination.itemIn(text);
    if (item !== undefined) return void drop("contaminated", item);
    const near = this.#nearIndexFor(card)?.addUnlessNear(docId, text);
    if (near !== undefined) return void drop("near-duplicate", near.id);
    this.#seen.add(docId);
    this.rows.push({ docId, source: card.id, path, language: "python", license, split: this.#splitOf(group ?? docId), text });
  }

  /** One index for each threshold, shared by the sources that use it. */
  #nearIndexFor({ nearDuplicates }: DataCard): NearDuplicateIndex | undefined {
    if (nearDuplicates === undefined) return undefined;
    const index = this.#nearDuplicates.get(nearDuplicates.threshold) ?? new NearDuplicateIndex(nearDuplicates.threshold);
    this.#nearDuplicates.set(nearDuplicates.threshold, index);
    return index;
  }

  #splitOf(group: string): DocumentRow["split"] {
    const draw = stream({ seed: this.#seed, stage: "corpus", purpose: `split ${group}` }).uniform();
    return draw < this.#validationShare ? "validation" : "train";
  }
}
