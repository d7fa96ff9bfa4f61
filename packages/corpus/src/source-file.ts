/** A file as its source holds it. */
export interface SourceFile {
  /** Path within the source, with forward slashes. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** SPDX expression. */
  readonly license: string;
  /** Files of one group go to the same side of the train/validation split; what they hold decides unless given. */
  readonly group?: string;
}
