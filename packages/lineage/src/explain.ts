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

export type Explanation =
  | { readonly kind: "hit"; readonly key: string }
  /** It has run, but what it made is no longer whole. */
  | { readonly kind: "damaged"; readonly key: string; readonly damage: string }
  | { readonly kind: "never-run"; readonly key: string }
  | { readonly kind: "unfinished"; readonly key: string; readonly checkpointSteps: readonly number[] }
  | { readonly kind: "miss"; readonly key: string; readonly nearestKey: string; readonly differences: readonly Difference[] };

/** Says why a stage would run: what differs from the earlier run that is nearest to it. */
export async function explainStage(store: Store, resolved: ResolvedStage): Promise<Explanation> {
  const { key, facts } = resolved;
  const damages: string[] = [];
  if ((await findCached(store, key, (line) => damages.push(line))) !== undefined) return { kind: "hit", key };
  if (damages.length > 0) return { kind: "damaged", key, damage: damages.join() };
  const starts = (await store.records.starts()).filter((run) => run.facts.stage === facts.stage);
  if (starts.some((run) => run.key === key)) {
    const checkpoints = await store.records.checkpoints(key);
    return { kind: "unfinished", key, checkpointSteps: checkpoints.map(({ step }) => step) };
  }
  const bindings = new Map((await store.records.bindings()).map((binding) => [binding.key, binding]));
  // Of equally near ones the newest that finished, which is the one that `acceptCode` could bind.
  const candidates = starts
    .map((run) => ({ run, differences: differencesOf(run.facts, facts), startedAt: bindings.get(run.key)?.cost.startedAt ?? "" }))
    .sort((a, b) => a.differences.length - b.differences.length || (a.startedAt < b.startedAt ? 1 : -1));
  const nearest = candidates[0];
  if (nearest === undefined) return { kind: "never-run", key };
  return { kind: "miss", key, nearestKey: nearest.run.key, differences: nearest.differences };
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
