import type { DropReason } from "./inner-stage.ts";
import type { Unreadable } from "./sources/clean-text.ts";
import type { UnreadReason } from "./sources/source-file.ts";

/** A file that is not in the corpus, and why. */
export interface Drop {
  readonly source: string;
  readonly path: string;
  readonly reason: Unreadable | UnreadReason | "exact-duplicate" | DropReason;
  /** The kept document, the benchmark item, the licence or the language that it repeats or is. */
  readonly of?: string;
  readonly rule?: string;
  readonly value?: number;
  readonly least?: number;
  readonly most?: number;
}
