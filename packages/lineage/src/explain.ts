import { canonicalJson, type JsonValue } from "./json.ts";
import { findCached } from "./run-stage.ts";
import type { KeyFacts, ResolvedStage } from "./stage-key.ts";
import type { Store } from "./store.ts";

/** One fact that differs between a request and an earlier run of the same stage. */
export interface Difference {
  /** Such as `code`, `seed`, `recipe.optimizer.learningRate`, `inputs.shards`. */
  readonly path: string;
  readonly before: JsonValue | undefined;
  readonly now: JsonValue | undefined;
}

/** The run of the same stage under another key that is nearest to a request. */
export interface NearestRun {
  readonly key: string;
  readonly differences: readonly Difference[];
}

/** What stands under a request's key, and the nearest run under another one, if there is any. */
export type Explanation = { readonly key: string; readonly nearest?: NearestRun } & (
  | { readonly kind: "hit" }
  /** It has run, but what it made is no longer whole. */
  | { readonly kind: "damaged"; readonly damage: string }
  /** It was begun and has not finished. */
  | { readonly kind: "unfinished"; readonly checkpointSteps: readonly number[] }
  /** It has never been begun; nothing of the stage has when there is no nearest run either. */
  | { readonly kind: "miss" }
);

/** Says why a stage would run, or did: what differs from the nearest run that was begun under another key. */
export async function explainStage(store: Store, resolved: ResolvedStage): Promise<Explanation> {
  const { key, facts } = resolved;
  const starts = (await store.records.starts()).filter((run) => run.facts.stage === facts.stage);
  const bindings = new Map((await store.records.bindings()).map((binding) => [binding.key, binding]));
  // Of equally near ones the newest that finished, which is the one that `acceptCode` could bind.
  const [nearest] = starts
    .filter((run) => run.key !== key)
    .map((run) => ({ key: run.key, differences: differencesOf(run.facts, facts), startedAt: bindings.get(run.key)?.cost.startedAt ?? "" }))
    .sort((a, b) => a.differences.length - b.differences.length || (a.startedAt < b.startedAt ? 1 : -1))
    .map(({ startedAt: _, ...run }) => run);
  const known = { key, ...(nearest === undefined ? {} : { nearest }) };

  const damages: string[] = [];
  if ((await findCached(store, key, (line) => damages.push(line))) !== undefined) return { kind: "hit", ...known };
  if (damages.length > 0) return { kind: "damaged", ...known, damage: damages.join() };
  if (!starts.some((run) => run.key === key)) return { kind: "miss", ...known };
  const checkpoints = await store.records.checkpoints(key);
  return { kind: "unfinished", ...known, checkpointSteps: checkpoints.map(({ step }) => step) };
}

/** @param before as read from a record, so with sorted keys */
export function differencesOf(before: KeyFacts, now: KeyFacts): Difference[] {
  const differences: Difference[] = [];
  const compare = (path: string, a: JsonValue | undefined, b: JsonValue | undefined): void => {
    if (isObject(a) && isObject(b)) {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) compare(path === "" ? key : `${path}.${key}`, a[key], b[key]);
    } else if (JSON.stringify(a) !== JSON.stringify(b)) {
      differences.push({ path, before: a, now: b });
    }
  };
  compare("", before as unknown as JsonValue, JSON.parse(canonicalJson(JSON.parse(JSON.stringify(now)) as JsonValue)) as JsonValue);
  return differences;
}

function isObject(value: JsonValue | undefined): value is Record<string, JsonValue> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
