import type { StageError } from "@diffucoder/lineage";

/** What `outcome` fails with; that it fails is part of the claim. */
export const failureOf = (outcome: Promise<unknown>): Promise<StageError> =>
  outcome.then(
    (value) => Promise.reject(new Error(`expected a failure, found ${JSON.stringify(value)}`)),
    (error: unknown) => error as StageError,
  );
