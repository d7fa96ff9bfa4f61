import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { NUMERICS } from "../test/test-stage.ts";
import { temporaryFolder } from "../test/temporary.ts";
import { sha256 } from "./json.ts";
import { RecordStore } from "./record-store.ts";
import { StageRecords, type Binding, type RunFacts } from "./records.ts";

const [KEY, OTHER] = ["a".repeat(64), "b".repeat(64)];

const started = (key: string, attempt: number): RunFacts => ({
  key,
  facts: { stage: "sum", code: "c", recipe: {}, inputs: {}, sources: {}, seed: 1, dtype: null },
  execution: {},
  attempt,
  numerics: NUMERICS,
  packages: {},
  packageVersion: "1",
  commit: null,
  environment: {},
  resumedFromStep: null,
});
const bound = (key: string, output: string): Binding => ({
  ...started(key, 1),
  outputs: { sums: { kind: "documents", digest: sha256(output) } },
  summary: {},
  cost: { startedAt: "", wallMs: 1, cpuMs: 1, peakMemoryBytes: 1 },
});

function open() {
  const root = temporaryFolder();
  const store = new RecordStore(root);
  return { root, store, records: new StageRecords(store) };
}

describe("the records of stage keys", () => {
  test("bind a key to the first complete result, also among many at once", async () => {
    const { records } = open();
    expect(await records.binding(KEY)).toBeUndefined();
    const offered = Array.from({ length: 8 }, (_, i) => bound(KEY, `output ${i}`));
    const taken = await Promise.all(offered.map((binding) => records.bind(KEY, binding)));
    expect(offered).toContainEqual(taken[0]);
    for (const binding of taken) expect(binding).toEqual(taken[0]);
    expect(await records.bind(KEY, bound(KEY, "late"))).toEqual(taken[0]);
    expect(await records.binding(KEY)).toEqual(taken[0]);
  });

  test("never overwrite what an attempt recorded", async () => {
    const { records, store } = open();
    await records.recordStart(KEY, started(KEY, 3));
    await records.recordStart(KEY, { ...started(KEY, 3), commit: "later" });
    await records.recordFailure(KEY, 3, { code: "First" });
    await records.recordFailure(KEY, 3, { code: "Second" });
    await records.recordAlarm(KEY, 3, { role: "first" });
    await records.recordAlarm(KEY, 3, { role: "second" });
    expect(await store.names(KEY)).toEqual(["attempt-000003-alarm", "attempt-000003-failed", "attempt-000003-started"]);
    expect(await store.get(KEY, "attempt-000003-started")).toEqual(started(KEY, 3));
    expect(await store.get(KEY, "attempt-000003-failed")).toEqual({ code: "First" });
    expect(await store.get(KEY, "attempt-000003-alarm")).toEqual({ role: "first" });
  });

  test("list checkpoints newest first: by step, then by attempt", async () => {
    const { records } = open();
    const checkpoint = (step: number, attempt: number) => ({ ref: { kind: "checkpoint" as const, digest: sha256(`${step} ${attempt}`) }, step, attempt });
    for (const [step, attempt] of [[9, 1], [10, 1], [100, 1], [10, 12], [10, 2], [1_000_000, 1]] as const) {
      await records.recordCheckpoint(KEY, checkpoint(step, attempt));
    }
    await records.recordCheckpoint(KEY, { ...checkpoint(9, 1), ref: { kind: "checkpoint", digest: sha256("another") } });
    await records.recordStart(KEY, started(KEY, 1));
    expect(await records.checkpoints(KEY)).toEqual([checkpoint(1_000_000, 1), checkpoint(100, 1), checkpoint(10, 12), checkpoint(10, 2), checkpoint(10, 1), checkpoint(9, 1)]);
    expect(await records.checkpoints(OTHER)).toEqual([]);
  });

  test("know all keys, bindings and newest starts, and pass over other folders", async () => {
    const { root, records } = open();
    await mkdir(join(root, "index-of-something"));
    for (const attempt of [1, 2, 10]) await records.recordStart(KEY, started(KEY, attempt));
    await records.bind(OTHER, bound(OTHER, "x"));
    expect(await records.keys()).toEqual([KEY, OTHER]);
    expect(await records.bindings()).toEqual([bound(OTHER, "x")]);
    expect(await records.starts()).toEqual([started(KEY, 10)]);
  });
});
