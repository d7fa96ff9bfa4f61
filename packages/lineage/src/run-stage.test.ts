import { mkdir, readFile, readdir, rm, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addUp, NUMERICS, newStore, numbersOf, resolve, run, sumStage, type Execution, type Recipe } from "../test/test-stage.ts";
import { canMount, smallDisk } from "../test/temporary.ts";
import type { ArtifactRef } from "./artifact-store.ts";
import { codeIdentity } from "./code-digest.ts";
import { describeEnvironment, machineMemoryBytes } from "./environment.ts";
import { StageCancelled, StageError } from "./errors.ts";
import { LeaseStore, type Lease } from "./lease.ts";
import { RecordStore } from "./record-store.ts";
import type { Binding } from "./records.ts";
import { findCached } from "./run-stage.ts";
import type { StageContext, StageDefinition, StageProgress, StageRequest } from "./stage.ts";
import { openStore, type Store } from "./store.ts";

type Work = StageDefinition<Recipe, Execution>["run"];

/** The stage and how often its work was begun. */
function counted(work: Work = addUp, changes: Partial<StageDefinition<Recipe, Execution>> = {}) {
  const runs: StageContext[] = [];
  const definition = sumStage({
    ...changes,
    run: (request, context) => {
      runs.push(context);
      return work(request, context);
    },
  });
  return { definition, runs };
}

/** Adds up, but is told to stop once `steps` are done. */
function stopping(steps: number): Work {
  return (request, context) => {
    const stop = new AbortController();
    const report = (progress: StageProgress) => {
      context.report(progress);
      if (progress.step === steps) stop.abort();
    };
    return addUp(request, { ...context, report, signal: stop.signal });
  };
}

const recordsOf = (store: Store) => new RecordStore(join(store.root, "records"));
const fileOf = async (store: Store, ref: ArtifactRef) => (await store.blobs.locate((await store.artifacts.manifest(ref)).files[0]!.sha256))!;
const flip = async (path: string) => {
  const content = await readFile(path);
  content[0]! ^= 1;
  await writeFile(path, content);
};

/** A promise that a test keeps in its hand. */
function gate() {
  let open!: () => void;
  return { opened: new Promise<void>((resolve) => (open = resolve)), open };
}

describe("a run", () => {
  test("publishes what the stage declares and returns it", async () => {
    const store = await newStore();
    const { definition } = counted();
    const outcome = await run(store, definition, { request: { recipe: { length: 4, options: { factor: 2 } } } });
    expect(outcome).toMatchObject({ cached: false, summary: { last: 8 }, outputs: { sums: { kind: "documents" } } });
    expect(await numbersOf(store, outcome.outputs.sums!)).toEqual([2, 4, 6, 8]);
    expect((await store.artifacts.manifest(outcome.outputs.sums!)).meta).toEqual({ length: 4 });
  });

  test("records who ran, with what, on what, and what it cost", async () => {
    const store = await newStore();
    const { definition } = counted(addUp, { resource: "cpu" });
    let time = Date.UTC(2026, 0, 2, 3, 4, 5);
    const now = () => (time += 1500);
    const request = { recipe: { length: 2 }, execution: { checkpointEvery: 2 }, seed: 9 };
    const outcome = await run(store, definition, { request, now });
    const { facts } = await resolve(definition, request);
    const started = {
      key: outcome.key,
      facts,
      execution: { checkpointEvery: 2 },
      attempt: 1,
      numerics: NUMERICS,
      packages: (await codeIdentity(definition)).packages,
      packageVersion: "4.5.6",
      commit: null, // the test's folder is in no checkout
      environment: describeEnvironment(),
      resumedFromStep: null,
    };
    expect(await recordsOf(store).get(outcome.key, "attempt-000001-started")).toEqual(started);
    const binding = (await store.records.binding(outcome.key))!;
    expect(binding).toEqual<Binding>({
      ...started,
      outputs: outcome.outputs,
      summary: { last: 2 },
      cost: { startedAt: "2026-01-02T03:04:06.500Z", wallMs: 1500, cpuMs: expect.any(Number) as number, peakMemoryBytes: expect.any(Number) as number },
    });
    expect(outcome.wallMs).toBe(1500);
    expect(binding.cost.peakMemoryBytes).toBeGreaterThan(process.memoryUsage.rss() / 4);
    expect(binding.cost.peakMemoryBytes).toBeLessThanOrEqual(process.resourceUsage().maxRSS * 1024);
    expect(await store.records.checkpoints(outcome.key)).toEqual([{ ref: { kind: "checkpoint", digest: expect.any(String) as string }, step: 2, attempt: 1 }]);
  });

  test("counts the processor time of its own work only", async () => {
    const store = await newStore();
    let inside = 0;
    const { definition } = counted(async (request, context) => {
      const begin = process.cpuUsage();
      const result = await addUp(request, context);
      const { user, system } = process.cpuUsage(begin);
      inside = (user + system) / 1000;
      return result;
    });
    const begin = process.cpuUsage(); // the process has used far more by now, to start and to load
    const { key } = await run(store, definition);
    const { user, system } = process.cpuUsage(begin);
    const { cpuMs } = (await store.records.binding(key))!.cost;
    expect(cpuMs).toBeGreaterThanOrEqual(Math.floor(inside));
    expect(cpuMs).toBeLessThanOrEqual(Math.ceil((user + system) / 1000));
  });

  test("gives the stage its own scratch folder, which is removed, and all else it was started with", async () => {
    const store = await newStore();
    const stop = new AbortController();
    const [progress, lines]: [StageProgress[], string[]] = [[], []];
    const now = () => 12345;
    let existed = false;
    const { definition, runs } = counted(async (request: StageRequest<Recipe, Execution>, context) => {
      existed = (await stat(context.scratchDir)).isDirectory();
      expect(request).toEqual({ recipe: { length: 3, options: { factor: 1, words: [] } }, execution: { checkpointEvery: 1 }, inputs: {}, seed: 1, baseDirectory: "/" });
      context.log("at work");
      return addUp(request, context);
    });
    await run(store, definition, { signal: stop.signal, now, onProgress: (step) => progress.push(step), log: (line) => lines.push(line) });
    const [context] = runs;
    expect(existed).toBe(true);
    expect(context).toMatchObject({ signal: stop.signal, now, numerics: NUMERICS, memoryBytes: machineMemoryBytes(), resumeFrom: undefined });
    expect(context!.artifacts).toBe(store.artifacts);
    expect(context!.scratchDir).toMatch(new RegExp(`^${join(store.root, "scratch")}/sum-......$`));
    expect(await readdir(join(store.root, "scratch"))).toEqual([]);
    expect(progress.map(({ step, totalSteps, unit }) => [step, totalSteps, unit])).toEqual([1, 2, 3].map((step) => [step, 3, "sums"]));
    expect(lines).toEqual(["at work"]);
  });

  test.each([
    ["another role", { other: "documents" }, "other"],
    ["one more", { sums: "documents", more: "report" }, "more,sums"],
    ["none", {}, ""],
  ])("whose stage makes %s than it declares is refused before anything is bound", async (_, outputs, declared) => {
    const store = await newStore();
    const { definition } = counted(addUp, { outputs: outputs as StageDefinition["outputs"] });
    await expect(run(store, definition)).rejects.toThrow(new TypeError(`stage sum: expected outputs ${declared}, found sums`));
    const { key } = await resolve(definition);
    expect(await store.records.binding(key)).toBeUndefined();
  });

  test("may have several outputs", async () => {
    const store = await newStore();
    const { definition } = counted(
      async (request, context) => {
        const { outputs, summary } = await addUp(request, context);
        const folder = join(context.scratchDir, "report");
        await mkdir(folder);
        return { outputs: { ...outputs, report: { kind: "report", directory: folder, meta: {} } }, summary };
      },
      { outputs: { sums: "documents", report: "report" } },
    );
    const { outputs } = await run(store, definition);
    expect(outputs).toMatchObject({ report: { kind: "report" }, sums: { kind: "documents" } });
  });
});

describe("a stage that has run", () => {
  test("is not run again, in this store opened anew either", async () => {
    const store = await newStore();
    const { definition, runs } = counted();
    const first = await run(store, definition);
    expect(await run(store, definition)).toEqual({ ...first, cached: true });
    expect(await run(await openStore(store.root), definition)).toEqual({ ...first, cached: true });
    expect(runs).toHaveLength(1);
    expect(await findCached(store, first.key)).toEqual(await store.records.binding(first.key));
  });

  test("is run again where its recipe differs", async () => {
    const store = await newStore();
    const { definition, runs } = counted();
    await run(store, definition);
    expect((await run(store, definition, { request: { recipe: { length: 4 } } })).cached).toBe(false);
    expect(runs).toHaveLength(2);
  });

  type Spoil = (store: Store, ref: ArtifactRef) => Promise<void>;
  test.each<[string, Spoil, RegExp]>([
    ["truncated", async (store, ref) => truncate(await fileOf(store, ref), 1), /sums\.json: expected 7 bytes, found 1 bytes/],
    ["deleted", async (store, ref) => unlink(await fileOf(store, ref)), /sums\.json: expected 7 bytes, found no file/],
    ["left without its manifest", async (store, ref) => store.blobs.remove(ref.digest), /expected a manifest in the store, found none/],
    ["left with a damaged manifest", async (store, ref) => flip((await store.blobs.locate(ref.digest))!), /file manifest: expected [0-9a-f]{64}, found/],
  ])("is run again when its output was %s, and that heals it", async (_, spoil, damage) => {
    const store = await newStore();
    const { definition, runs } = counted();
    const first = await run(store, definition);
    await spoil(store, first.outputs.sums!);
    const lines: string[] = [];
    expect(await findCached(store, first.key)).toBeUndefined();
    const second = await run(store, definition, { log: (line) => lines.push(line) });
    expect(second).toEqual({ ...first, cached: false });
    expect(lines[0]).toMatch(new RegExp(`^output sums of key ${first.key.slice(0, 12)} is damaged \\(.*${damage.source}.*\\); running the stage again$`));
    expect(await store.artifacts.verify(first.outputs.sums!)).toEqual([]);
    expect((await run(store, definition)).cached).toBe(true);
    expect(runs).toHaveLength(2);
  });

  test("is taken as it is when only a bit has flipped: a cache hit looks at sizes, verify at bytes", async () => {
    const store = await newStore();
    const { definition } = counted();
    const { outputs } = await run(store, definition);
    await flip(await fileOf(store, outputs.sums!));
    expect((await run(store, definition)).cached).toBe(true);
    expect(await store.artifacts.verify(outputs.sums!)).toHaveLength(1);
  });

  test("is not run again for an error of the disk that says nothing of the output", async () => {
    const store = await newStore();
    const { definition, runs } = counted();
    const { outputs } = await run(store, definition);
    const manifest = (await store.blobs.locate(outputs.sums!.digest))!;
    await rm(manifest);
    await mkdir(manifest);
    await expect(run(store, definition)).rejects.toMatchObject({ code: "EISDIR" });
    expect(runs).toHaveLength(1);
  });

  test("of which nothing is known is no hit", async () => {
    expect(await findCached(await newStore(), "0".repeat(64))).toBeUndefined();
  });
});

describe("an attempt after a stop", () => {
  const request = { recipe: { length: 5 } };

  /** Stops after step 3, so that there are checkpoints 1, 2 and 3. */
  async function stopped() {
    const store = await newStore();
    const { definition } = counted(stopping(3));
    await expect(run(store, definition, { request })).rejects.toBeInstanceOf(StageCancelled);
    const { key } = await resolve(definition, request);
    const runs: StageContext[] = [];
    const again = { ...definition, run: (...[work, context]: Parameters<Work>) => (runs.push(context), addUp(work, context)) };
    return { store, key, definition: again, runs, checkpoints: await store.records.checkpoints(key) };
  }

  test("goes on from the newest checkpoint, to the same bytes as without the stop", async () => {
    const { store, key, definition, runs, checkpoints } = await stopped();
    expect(checkpoints.map(({ step, attempt }) => [step, attempt])).toEqual([[3, 1], [2, 1], [1, 1]]);
    const steps: number[] = [];
    const outcome = await run(store, definition, { request, onProgress: ({ step }) => steps.push(step) });
    expect(runs[0]!.resumeFrom).toEqual({ ref: checkpoints[0]!.ref, step: 3 });
    expect(steps).toEqual([4, 5]);
    expect(await store.records.binding(key)).toMatchObject({ attempt: 2, resumedFromStep: 3 });
    expect(outcome.outputs).toEqual((await run(await newStore(), definition, { request })).outputs);
    expect((await store.records.checkpoints(key)).map(({ step, attempt }) => [step, attempt])).toEqual([[5, 2], [4, 2], [3, 1], [2, 1], [1, 1]]);
  });

  test("passes over damaged checkpoints, naming them", async () => {
    const { store, definition, runs, checkpoints } = await stopped();
    await flip(await fileOf(store, checkpoints[0]!.ref)); // same size: only the hash tells
    await store.blobs.remove(checkpoints[1]!.ref.digest);
    const lines: string[] = [];
    await run(store, definition, { request, log: (line) => lines.push(line) });
    expect(runs[0]!.resumeFrom).toEqual({ ref: checkpoints[2]!.ref, step: 1 });
    expect(lines).toEqual([
      expect.stringMatching(/^checkpoint at step 3: sums\.json is damaged \(expected [0-9a-f]{64}, found [0-9a-f]{64}\); trying an earlier one$/),
      `checkpoint at step 2: manifest is damaged (expected ${checkpoints[1]!.ref.digest}, found no file); trying an earlier one`,
    ]);
    expect(await store.artifacts.verify(checkpoints[0]!.ref)).toEqual([]); // made again on the way
  });

  const elsewhere = { ...NUMERICS, threads: 8 };

  test("begins anew under another numerics profile, saying so: its record names one profile, and all its bytes are of that", async () => {
    const { store, key, definition, runs } = await stopped();
    const lines: string[] = [];
    await run(store, definition, { request, numerics: elsewhere, log: (line) => lines.push(line) });
    expect(runs[0]!.resumeFrom).toBeUndefined();
    expect(await store.records.binding(key)).toMatchObject({ numerics: elsewhere, attempt: 2, resumedFromStep: null });
    expect(lines).toEqual(
      [3, 2, 1].map((step) => expect.stringMatching(new RegExp(`^checkpoint at step ${step}: made under .*"threads":2.*, expected .*"threads":8.*; trying an earlier one$`)) as string),
    );
  });

  test("passes over newer checkpoints of another profile for an older one of its own", async () => {
    const { store, key, definition, runs, checkpoints } = await stopped();
    const farther = { ...definition, run: stopping(4) };
    await expect(run(store, farther, { request, numerics: elsewhere })).rejects.toBeInstanceOf(StageCancelled);
    expect((await store.records.checkpoints(key)).map(({ step, attempt }) => [step, attempt])).toContainEqual([4, 2]);
    await run(store, definition, { request });
    expect(runs[0]!.resumeFrom).toEqual({ ref: checkpoints[0]!.ref, step: 3 });
  });

  test("begins anew when no checkpoint is whole", async () => {
    const { store, key, definition, runs, checkpoints } = await stopped();
    for (const { ref } of checkpoints) await store.blobs.remove(ref.digest);
    await run(store, definition, { request });
    expect(runs[0]!.resumeFrom).toBeUndefined();
    expect((await store.records.binding(key))!.resumedFromStep).toBeNull();
  });
});

describe("two runs at one key", () => {
  test("share one attempt: the second waits, says so, and takes the result", async () => {
    const store = await newStore();
    const [begun, allowed] = [gate(), gate()];
    const { definition, runs } = counted(async (request, context) => {
      begun.open();
      await allowed.opened;
      return addUp(request, context);
    });
    const first = run(store, definition);
    await begun.opened;
    const [lines, progress]: [string[], StageProgress[]] = [[], []];
    const second = run(await openStore(store.root), definition, { log: (line) => lines.push(line), onProgress: (step) => progress.push(step) });
    await expect.poll(() => progress.length, { timeout: 5000 }).toBeGreaterThan(1); // a sign of life at each look
    allowed.open();
    expect(await second).toEqual({ ...(await first), cached: true });
    expect(runs).toHaveLength(1);
    const { key } = await resolve(definition);
    expect(lines).toEqual([`another attempt is at work on key ${key.slice(0, 12)}; waiting for it`]);
    expect(new Set(progress.map((step) => JSON.stringify(step)))).toEqual(
      new Set([JSON.stringify({ step: 0, totalSteps: 1, unit: "stage", note: "waiting for another attempt" })]),
    );
  });

  test("the one that waits takes over when the other fails", async () => {
    const store = await newStore();
    const [begun, allowed] = [gate(), gate()];
    let attempts = 0;
    const { definition } = counted(async (request, context) => {
      if (++attempts > 1) return addUp(request, context);
      begun.open();
      await allowed.opened;
      throw new Error("broken");
    });
    const first = run(store, definition);
    await begun.opened;
    const second = run(store, definition);
    allowed.open();
    await expect(first).rejects.toThrow("broken");
    expect(await second).toMatchObject({ cached: false });
    expect(attempts).toBe(2);
  });

  test("the one that waits stops when told to", async () => {
    const store = await newStore();
    const [begun, allowed] = [gate(), gate()];
    const { definition } = counted(async (request, context) => {
      begun.open();
      await allowed.opened;
      return addUp(request, context);
    });
    const first = run(store, definition);
    await begun.opened;
    const stop = new AbortController();
    const second = run(store, definition, { signal: stop.signal, onProgress: () => stop.abort() });
    await expect(second).rejects.toMatchObject({ code: "StageCancelled", retryable: true, message: "stage sum: stopped on request" });
    allowed.open();
    expect((await first).cached).toBe(false); // undisturbed
  });

  test("a result that came between the look at the cache and the lease is taken, not made again", async () => {
    const store = await newStore();
    const { definition, runs } = counted();
    class SlowLeases extends LeaseStore {
      override async acquire(key: string, now: () => number): Promise<Lease | undefined> {
        await run(await openStore(store.root), definition);
        return super.acquire(key, now);
      }
    }
    const slow = { ...store, leases: new SlowLeases(join(store.root, "leases")) };
    expect((await run(slow, definition)).cached).toBe(true);
    expect(runs).toHaveLength(1);
    const { key } = await resolve(definition);
    await (await store.leases.acquire(key, Date.now))!.release(); // it was given back
  });
});

describe("a fenced attempt", () => {
  const takeOver = async (store: Store, key: string) => (await store.leases.acquire(key, () => Date.now() + 60_000))!;

  test("cannot bind", async () => {
    const store = await newStore();
    const { definition } = counted(async (request, context) => {
      const result = await addUp(request, context);
      await (await takeOver(store, key)).release();
      return result;
    });
    const { key } = await resolve(definition);
    await expect(run(store, definition)).rejects.toMatchObject({ code: "LeaseLost", details: { key, held: 1, current: 2 } });
    expect(await store.records.binding(key)).toBeUndefined();
    expect(await recordsOf(store).get(key, "attempt-000001-failed")).toMatchObject({ code: "LeaseLost" });
  });

  test("cannot record a checkpoint", async () => {
    const store = await newStore();
    const { definition } = counted(async (request, context) => {
      await (await takeOver(store, key)).release();
      return addUp(request, context);
    });
    const { key } = await resolve(definition);
    await expect(run(store, definition)).rejects.toMatchObject({ code: "LeaseLost" });
    expect(await store.records.checkpoints(key)).toEqual([]);
  });
});

describe("a failure", () => {
  test("that is typed is recorded with its facts and passed on, and the lease is free at once", async () => {
    const store = await newStore();
    const failure = new StageError({ code: "Odd", message: "sum: expected even, found odd", retryable: false, details: { step: 3 } });
    const { definition } = counted(() => Promise.reject(failure));
    await expect(run(store, definition)).rejects.toBe(failure);
    const { key } = await resolve(definition);
    expect(await recordsOf(store).get(key, "attempt-000001-failed")).toEqual({
      code: "Odd",
      message: "sum: expected even, found odd",
      retryable: false,
      details: { step: 3 },
    });
    expect(await readdir(join(store.root, "scratch"))).toEqual([]);
    const second = await run(store, { ...definition, run: addUp });
    expect(second.cached).toBe(false);
    expect((await store.records.binding(key))!.attempt).toBe(2);
    expect(await recordsOf(store).names(key)).toEqual(expect.arrayContaining(["attempt-000001-failed", "attempt-000001-started", "attempt-000002-started"]));
    expect(await recordsOf(store).names(key)).not.toContain("attempt-000002-failed");
  });

  test.each([[new RangeError("too far"), "RangeError: too far"], ["a string", "a string"]])("that is not typed counts as retryable: %s", async (thrown, message) => {
    const store = await newStore();
    const { definition } = counted(() => Promise.reject(thrown as Error));
    await expect(run(store, definition)).rejects.toBe(thrown);
    const { key } = await resolve(definition);
    expect(await recordsOf(store).get(key, "attempt-000001-failed")).toEqual({ code: "Unexpected", message, retryable: true, details: {} });
  });

  test("by a stop is recorded as such", async () => {
    const store = await newStore();
    const { definition } = counted(stopping(2));
    await expect(run(store, definition)).rejects.toMatchObject({ code: "StageCancelled", message: "stage sum: stopped on request after step 2" });
    const { key } = await resolve(definition);
    expect(await recordsOf(store).get(key, "attempt-000001-failed")).toMatchObject({ code: "StageCancelled", retryable: true, details: { stage: "sum" } });
  });

  test.skipIf(!canMount)("on a full disk reaches the caller, though it cannot be recorded (needs root to mount a small disk)", async () => {
    const disk = smallDisk(256);
    const store = await openStore(join(disk, "store"));
    const failure = new StageError({ code: "Odd", message: "odd", retryable: false });
    const { definition } = counted(async () => {
      await writeFile(join(disk, "filler"), Buffer.alloc(300_000)).catch(() => {});
      throw failure;
    });
    await expect(run(store, definition)).rejects.toBe(failure);
    const { key } = await resolve(definition);
    expect(await recordsOf(store).names(key)).toEqual(["attempt-000001-started"]);
  });

  test.skipIf(!canMount)("to write what it needs meanwhile for want of room is DiskFull (needs root to mount a small disk)", async () => {
    const store = await openStore(join(smallDisk(256), "store"));
    const { definition } = counted(async (_request, { scratchDir }) => {
      await writeFile(join(scratchDir, "big"), Buffer.alloc(300_000));
      return { outputs: {}, summary: {} };
    });
    await expect(run(store, definition)).rejects.toMatchObject({ code: "DiskFull", retryable: false });
    expect(await readdir(join(store.root, "scratch"))).toEqual([]);
  });

  test.skipIf(!canMount)("to publish for want of room is DiskFull, and binds nothing (needs root to mount a small disk)", async () => {
    const store = await openStore(join(smallDisk(256), "store"));
    const { definition } = counted(async (_request, { scratchDir }) => {
      await writeFile(join(scratchDir, "big"), Buffer.alloc(150_000));
      return { outputs: { sums: { kind: "documents", directory: scratchDir, meta: {} } }, summary: {} };
    });
    await expect(run(store, definition)).rejects.toMatchObject({ code: "DiskFull", retryable: false });
    const { key } = await resolve(definition);
    expect(await store.records.binding(key)).toBeUndefined();
    expect(await readdir(join(store.root, "scratch"))).toEqual([]);
  });
});

describe("a second complete result", () => {
  const other = { ...NUMERICS, threads: 4 };

  /** Runs the stage once, and gives a stage of the same key that makes `length` more numbers than it should. */
  async function twice() {
    const store = await newStore();
    const { definition } = counted();
    const first = await run(store, definition);
    const unlike = { ...definition, run: (request: StageRequest<Recipe, Execution>, context: StageContext) => addUp({ ...request, recipe: { ...request.recipe, length: 7 } }, context) };
    return { store, first, definition, unlike, lose: () => store.blobs.remove(first.outputs.sums!.digest) };
  }

  test("with other bytes in the same numerics profile is an alarm: it is recorded, and the first one stays", async () => {
    const { store, first, unlike, lose } = await twice();
    await lose();
    const second = run(store, unlike);
    await expect(second).rejects.toMatchObject({ code: "Nondeterminism", retryable: false });
    const alarm = await recordsOf(store).get<{ second: string }>(first.key, "attempt-000002-alarm");
    const bound = first.outputs.sums!.digest;
    expect(alarm).toEqual({ role: "sums", first: bound, second: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
    await expect(second).rejects.toMatchObject({
      message:
        `stage key ${first.key.slice(0, 12)}, output sums: expected artifact ${bound.slice(0, 12)} as before, found ${alarm!.second.slice(0, 12)}. ` +
        "The first one stays; compare their manifests to find the cause.",
      details: { key: first.key, role: "sums", first: bound, second: alarm!.second },
    });
    expect((await store.records.binding(first.key))!.outputs).toEqual(first.outputs);
    expect(await recordsOf(store).get(first.key, "attempt-000002-failed")).toMatchObject({ code: "Nondeterminism" });
  });

  test("with the same bytes in another profile heals the first", async () => {
    const { store, first, definition, lose } = await twice();
    await lose();
    expect(await run(store, definition, { numerics: other })).toEqual({ ...first, cached: false });
    expect((await run(store, definition)).cached).toBe(true);
    expect((await store.records.binding(first.key))!.numerics).toEqual(NUMERICS);
  });

  test("with other bytes from another profile is dropped while the first one is whole", async () => {
    const store = await newStore();
    const made = await run(await openStore(store.root), sumStage(), { request: { recipe: { length: 6 } } }); // bytes of an unlike result
    const { definition } = counted(async (request, context) => {
      const { binding } = store.records;
      const elsewhere = (await binding.call(store.records, made.key))!;
      await store.records.bind(key, { ...elsewhere, key, numerics: other }); // another machine was quicker
      return addUp(request, context);
    });
    const { key } = await resolve(definition);
    const outcome = await run(store, definition);
    expect(outcome.outputs).toEqual(made.outputs);
    expect(await recordsOf(store).names(key)).toEqual(expect.not.arrayContaining(["attempt-000001-alarm", "attempt-000001-failed"]));
  });

  test("with other bytes from another profile cannot replace a damaged first one, and says so", async () => {
    const { store, first, unlike, lose } = await twice();
    await lose();
    const second = run(store, unlike, { numerics: other });
    await expect(second).rejects.toMatchObject({
      code: "RepairFailed",
      retryable: false,
      details: { key: first.key, role: "sums", expected: first.outputs.sums!.digest, madeUnder: NUMERICS, runUnder: other },
    });
    await expect(second).rejects.toThrow(
      new RegExp(
        `^stage key ${first.key.slice(0, 12)}, output sums: expected artifact ${first.outputs.sums!.digest.slice(0, 12)} again, found [0-9a-f]{12}, ` +
          `since it was made under .*"threads":2.* and now under .*"threads":4.*\\. Run it on a machine as before, or restore its files from a copy\\.$`,
      ),
    );
    expect(await recordsOf(store).names(first.key)).not.toContain("attempt-000002-alarm");
  });
});

test("an earlier artifact can be an input, and is recorded by digest", async () => {
  const store = await newStore();
  const definition = sumStage();
  const { outputs } = await run(store, definition);
  const longer = await run(store, definition, { request: { recipe: { length: 5 }, inputs: { start: outputs.sums! } } });
  expect(await numbersOf(store, longer.outputs.sums!)).toEqual([1, 2, 3, 4, 5]);
  expect((await store.records.binding(longer.key))!.facts.inputs).toEqual({ start: outputs.sums!.digest });
});
