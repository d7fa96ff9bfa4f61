import { describeOperator } from "./environment.ts";
import { AcceptanceRefused } from "./errors.ts";
import { differencesOf } from "./explain.ts";
import type { Binding } from "./records.ts";
import { findCached } from "./run-stage.ts";
import type { ResolvedStage } from "./stage-key.ts";
import type { Store } from "./store.ts";

export interface AcceptCodeOptions {
  /** Key of the finished run whose result is to stand; `explainStage` finds the nearest. */
  readonly from: string;
  /** The stage as its code is now. */
  readonly resolved: ResolvedStage;
  /** Why the change of code cannot change the result. */
  readonly reason: string;
  readonly now: () => number;
}

/**
 * Binds the result of an earlier run to a stage key that differs from its own in nothing but the code, because a person
 * vouches for it. The binding says who, when and why. A key that is bound already stays as it is.
 *
 * @returns the binding that stands
 * @throws AcceptanceRefused when more than the code differs, the earlier result is not whole, or no reason is given
 */
export async function acceptCode(store: Store, { from, resolved, reason, now }: AcceptCodeOptions): Promise<Binding> {
  const { key, facts } = resolved;
  if (reason.trim() === "") throw new AcceptanceRefused(key, "a reason", "none");
  const made = await findCached(store, from);
  if (made === undefined) throw new AcceptanceRefused(key, `a finished run of key ${from.slice(0, 12)} with all its files`, "none");
  const differing = differencesOf(made.facts, facts).map(({ path }) => path);
  if (differing.join() !== "code") {
    throw new AcceptanceRefused(key, `nothing but the code to differ from key ${from.slice(0, 12)}`, differing.join(", ") || "no difference");
  }
  const accepted = { key: from, reason, by: describeOperator(), at: new Date(now()).toISOString() };
  return store.records.bind(key, { ...made, key, facts, accepted });
}
