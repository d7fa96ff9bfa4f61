/** A file as its source holds it. */
export interface SourceFile {
  /** Path within the source, with forward slashes. */
  readonly path: string;
  readonly bytes: Uint8Array | Unread;
  /** SPDX expression that the source claims for it. */
  readonly license: string;
  /** Files of one group go to the same side of the train/validation split; what they hold decides unless given. */
  readonly group?: string;
  /** Repository it comes from, where the source knows. */
  readonly repository?: string;
  readonly commit?: string;
  /** Stars of the repository. */
  readonly stars?: number;
  /** ISO time of the commit. */
  readonly committedAt?: string;
  /** Of all its bytes, where they are left unread too; `unreadable` when they cannot be read. Only trees tell it. */
  readonly sha256?: string;
  /** Stands for repository, commit and path where a source may claim the same twice. */
  readonly place?: string;
}

/** A file of a source before it is read. */
export interface SourceEntry {
  /** Bytes that it holds in memory until it is read. */
  readonly heldBytes: number;
  load(): Promise<SourceFile> | SourceFile;
}

/** A file whose bytes were left where they are. */
export interface Unread {
  readonly reason: UnreadReason;
  readonly sizeBytes: number;
}

/** Why: over the card's size, no right or no luck to read it, a link, neither file nor directory, a row that is no record, a row at the place of an earlier one. */
export type UnreadReason = "too-large" | "unreadable" | "link" | "not-a-file" | "malformed-row" | "duplicate-path";
