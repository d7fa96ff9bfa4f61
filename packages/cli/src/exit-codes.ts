/** What the command's exit code says; the README lists them. */
export const EXIT = {
  done: 0,
  /** Something failed that no other code names. */
  failed: 1,
  /** The command line or a recipe is wrong; nothing was started. */
  usage: 2,
  /** The run waits for an operator: retry, skip or abort. */
  parked: 3,
  /** The run ended without its result: failed, aborted or cancelled. */
  unfinished: 4,
  /** `lineage verify` or `shards verify` found damage, or `doctor` something missing. */
  damaged: 5,
  /** Ctrl-C: the command stopped following; the run goes on. */
  detached: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
