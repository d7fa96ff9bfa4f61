import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findNearDuplicates, findWithPool, type DedupProgress, type NearDuplicateDocument, type NearDuplicateOptions, type NearDuplicates } from "./find-near-duplicates.ts";
import { inlinePool, threadPool } from "./unit-pool.ts";

let directory: string;
let calls = 0;
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), "near-"))));
afterEach(() => rmSync(directory, { recursive: true }));

const id = (n: number) => n.toString(16).padStart(32, "0");
const numbered = (count: number, first = 0) => Array.from({ length: count }, (_, i) => `w${first + i}`).join(" ");
const documentsOf = (texts: readonly string[]): NearDuplicateDocument[] => texts.map((text, n) => ({ id: id(n), text }));

/** In a folder of its own, so that nothing is reused. */
const find = (documents: Iterable<NearDuplicateDocument>, options: Partial<NearDuplicateOptions> = {}): Promise<NearDuplicates> =>
  findNearDuplicates(documents, { directory: join(directory, String(calls++)), threshold: 0.8, ...options });

function textRuns(text: string): Set<string> {
  const words = text.match(/\w+/g) ?? [text];
  return new Set(Array.from({ length: Math.max(1, words.length - 4) }, (_, i) => words.slice(i, i + 5).join(" ")));
}

function jaccard(left: ReadonlySet<string>, right: ReadonlySet<string>): number {
  const shared = [...left].filter((run) => right.has(run)).length;
  return shared / (left.size + right.size - shared);
}

/** Families of texts, each a base with some of its words replaced, so that similarities within one spread over [0.4, 1]. */
function families(count: number, members: number, seed = 1): NearDuplicateDocument[] {
  const draws = stream({ seed, stage: "test", purpose: "families" });
  const documents = Array.from({ length: count }, (_, family) => {
    const base = Array.from({ length: 60 + draws.integer(120) }, () => `v${family}_${draws.integer(60)}`);
    return Array.from({ length: members }, () => {
      const copy = [...base];
      const start = draws.integer(base.length);
      const end = Math.min(base.length, start + draws.integer(Math.ceil(base.length / 8)));
      for (let i = start; i < end; i++) copy[i] = `z${draws.integer(1000)}`;
      return { text: copy.join(" "), repository: `r${draws.integer(5)}`, stars: draws.integer(3) };
    });
  }).flat();
  return documents.map((document, n) => ({ ...document, id: id((n * 7919) % 100_003) }));
}

test("the first of two alike documents stays and is named with the similarity", async () => {
  const changed = `${numbered(103)} other`; // another last word changes one run of 100: 99 shared of 101
  const result = await find(documentsOf([numbered(104), changed, numbered(104, 1000)]));
  expect([...result.removals()]).toEqual([{ id: id(1), keptId: id(0), nearestId: id(0), similarity: 99 / 101 }]);
  expect([...result.candidates()]).toEqual([{ firstId: id(0), secondId: id(1), similarity: 99 / 101 }]);
  expect(result.summary).toEqual({ documents: 3, candidatePairs: 1, likePairs: 1, skippedPairs: 0, clusters: 1, largestCluster: 2, removed: 1, digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
});

test("a pair at the threshold is alike, one just below it is not, and is evidence all the same", async () => {
  const documents = documentsOf([numbered(104), `${numbered(103)} other`]);
  expect((await find(documents, { threshold: 99 / 101 })).summary).toMatchObject({ likePairs: 1, removed: 1 });
  const above = await find(documents, { threshold: 99 / 101 + 1e-9 });
  expect(above.summary).toMatchObject({ candidatePairs: 1, likePairs: 0, removed: 0, clusters: 0, largestCluster: 0 });
  expect([...above.candidates()]).toHaveLength(1);
});

test("likeness is passed on in components only", async () => {
  // b is a moved on by five words, c is b moved on by five: 91 of 101 runs shared by neighbours, 86 of 106 by a and c.
  const documents = documentsOf([numbered(100), numbered(100, 5), numbered(100, 10)]);
  expect([...(await find(documents, { threshold: 0.85 })).removals()]).toEqual([{ id: id(1), keptId: id(0), nearestId: id(0), similarity: 91 / 101 }]);
  expect([...(await find(documents, { threshold: 0.85, clusters: "components" })).removals()]).toEqual([
    { id: id(1), keptId: id(0), nearestId: id(0), similarity: 91 / 101 },
    { id: id(2), keptId: id(0), nearestId: id(1), similarity: 91 / 101 },
  ]);
});

test("texts of punctuation only are like none but themselves, and an empty one is a text too", async () => {
  const { removals } = await find(documentsOf(["()\n", "[]\n", "()\n", "", ""]));
  expect([...removals()].map(({ id: removed, keptId }) => [removed, keptId])).toEqual([
    [id(2), id(0)],
    [id(4), id(3)],
  ]);
});

test("against comparison of each document with all that stay: none is removed that is not alike, nearly all that is alike is found", async () => {
  const documents = families(40, 10);
  const { removals, summary } = await find(documents);
  const runsOf = new Map(documents.map(({ id: each, text }) => [each, textRuns(text)]));
  const removed = new Map([...removals()].map((removal) => [removal.id, removal]));
  for (const { id: one, keptId, similarity } of removed.values()) {
    expect(similarity).toBe(jaccard(runsOf.get(one)!, runsOf.get(keptId)!));
    expect(similarity).toBeGreaterThanOrEqual(0.8);
    expect(removed.has(keptId)).toBe(false);
  }
  const kept: Set<string>[] = [];
  let alike = 0;
  let missed = 0;
  for (const [each, runs] of runsOf) {
    const isAlike = kept.some((other) => jaccard(other, runs) >= 0.8);
    if (isAlike) alike++;
    if (isAlike && !removed.has(each)) missed++;
    if (!removed.has(each)) kept.push(runs);
  }
  expect(alike).toBeGreaterThan(100);
  expect(missed / alike).toBeLessThan(0.05); // what banding promises at 0.8 itself
  expect(summary.removed).toBe(removed.size);
});

describe("the result does not depend on how the work is divided", () => {
  const documents = families(20, 6);

  test("units, partitions, clusters and keepers of any kind", async () => {
    const wholes = new Map<string, ReturnType<typeof find>>();
    await fc.assert(
      fc.asyncProperty(
        fc.record({ unitBytes: fc.integer({ min: 1, max: 40_000 }), partitions: fc.integer({ min: 1, max: 20 }) }),
        fc.constantFrom("star" as const, "components" as const),
        fc.constantFrom("first" as const, "most-stars" as const),
        async (execution, clusters, keeper) => {
          const rules = `${clusters} ${keeper}`;
          wholes.set(rules, wholes.get(rules) ?? find(documents, { clusters, keeper }));
          const whole = await wholes.get(rules)!;
          const divided = await find(documents, { clusters, keeper, execution });
          expect(divided.summary).toEqual(whole.summary);
          expect([...divided.candidates()]).toEqual([...whole.candidates()]);
          expect(whole.summary.removed).toBeGreaterThan(20);
        },
      ),
      { numRuns: 20 },
    );
  });

  test("nor on the number of threads", async () => {
    const whole = await find(documents, { keeper: "most-stars" });
    for (const workers of [1, 3]) {
      const shared = await find(documents, { keeper: "most-stars", execution: { workers, unitBytes: 5000, partitions: 4 } });
      expect(shared.summary).toEqual(whole.summary);
      expect([...shared.removals()]).toEqual([...whole.removals()]);
    }
  });

  test("nor, where the keeper rule says so, on the order of arrival", async () => {
    const digest = async (all: readonly NearDuplicateDocument[], clusters: "star" | "components") => (await find(all, { keeper: "most-stars", clusters })).summary.digest;
    for (const clusters of ["star", "components"] as const) {
      const expected = await digest(documents, clusters);
      expect(await digest(documents.toReversed(), clusters)).toBe(expected);
      expect(await digest([...documents.slice(30), ...documents.slice(0, 30)], clusters)).toBe(expected);
    }
    expect((await find(documents.toReversed())).summary.digest).not.toBe((await find(documents)).summary.digest);
  });
});

test("all of a large group are removed, though not all of its pairs are compared", async () => {
  const documents = documentsOf(Array.from({ length: 400 }, (_, n) => `${numbered(200)} end${n}`));
  const { summary } = await find(documents);
  expect(summary).toMatchObject({ removed: 399, clusters: 1, largestCluster: 400 });
  expect(summary.candidatePairs).toBeLessThan((400 * 399) / 4);
  expect(summary.skippedPairs).toBeGreaterThan(0);
  expect((await find(documents.slice(0, 128))).summary).toMatchObject({ candidatePairs: (128 * 127) / 2, skippedPairs: 0 });
});

describe("units of work", () => {
  const documents = families(20, 5);
  const execution = { unitBytes: 8000, partitions: 3 };
  const options = () => ({ directory: join(directory, "work"), threshold: 0.8, execution });

  test("that are finished are not done again; what is missing, and it alone, is", async () => {
    const first = await findNearDuplicates(documents, options());
    expect(first.units.reused).toBe(0);
    const again = await findNearDuplicates(documents, { ...options(), threshold: 0.9 }); // nothing spilled depends on it
    expect(again.units).toEqual({ done: 0, reused: first.units.done });
    for (const kind of [".bands", ".candidates", ".compared"]) {
      const [lost] = readdirSync(options().directory).filter((name) => name.endsWith(kind));
      rmSync(join(options().directory, lost!));
      const { units, summary } = await findNearDuplicates(documents, options());
      expect([kind, units]).toEqual([kind, { done: 1, reused: first.units.done - 1 }]);
      expect(summary).toEqual(first.summary);
    }
  });

  test("of other documents, schemes or orders are others", async () => {
    const { units } = await findNearDuplicates(documents, options());
    const changed = documents.with(0, { ...documents[0]!, text: "x" });
    expect((await findNearDuplicates(changed, options())).units.done).toBeGreaterThanOrEqual(7); // one signed file, all that is made of it
    expect((await findNearDuplicates(documents, { ...options(), scheme: { wordsPerRun: 4, bands: 16, rows: 8 } })).units.reused).toBe(0);
    expect((await findNearDuplicates(documents, { ...options(), keeper: "most-stars" })).units).toEqual({ done: 6, reused: units.done - 6 });
  });

  test("that were cut off leave nothing that is taken for finished", async () => {
    const { summary, units } = await findNearDuplicates(documents, options());
    rmSync(options().directory, { recursive: true });
    await findNearDuplicates([], options());
    writeFileSync(join(options().directory, "0000.bands.1.1.tmp"), "half");
    expect(await findNearDuplicates(documents, options())).toMatchObject({ summary, units });
  });

  test("whose thread dies are done again, and no others", async () => {
    const whole = await find(documents);
    let spawned = 0;
    const pool = threadPool(2, () => {
      const worker = new Worker(new URL("./unit-worker.ts", import.meta.url));
      if (spawned++ === 0) void worker.terminate();
      return worker;
    });
    const result = await findWithPool(documents, options(), pool);
    await pool.close();
    expect(spawned).toBe(3);
    expect(result.summary).toEqual(whole.summary);
    expect(result.units.reused).toBe(0);
  });

  test("go on when a thread dies that has nothing to do", async () => {
    let spawned = 0;
    const pool = threadPool(2, () => {
      const worker = new Worker(new URL("./unit-worker.ts", import.meta.url));
      if (spawned++ === 0) worker.once("message", () => void worker.terminate());
      return worker;
    });
    const result = await findWithPool(documents, options(), pool);
    await pool.close();
    expect(spawned).toBe(3);
    expect(result.summary).toEqual((await find(documents)).summary);
  });

  test("whose threads die again and again are a WorkerLost", async () => {
    const pool = threadPool(1, () => new Worker("throw new Error('no memory')", { eval: true }));
    await expect(findWithPool(documents, options(), pool)).rejects.toMatchObject({ code: "WorkerLost", retryable: true, message: expect.stringMatching(/^near-duplicates, sign [0-9a-f]{32}: .* died 3 times, last of Error: no memory/) });
    await pool.close();
  });

  test("in work when the stream of documents fails end with it, and no thread is started anew", async () => {
    let spawned = 0;
    const pool = threadPool(2, () => (spawned++, new Worker(new URL("./unit-worker.ts", import.meta.url))));
    function* broken() {
      yield* documents;
      throw new Error("a source is gone");
    }
    await expect(findWithPool(broken(), options(), pool)).rejects.toThrow("a source is gone");
    await pool.close();
    await sleep(20);
    expect(spawned).toBeLessThanOrEqual(2);
  });

  test("that fail are the failure of all", async () => {
    const { units } = await findNearDuplicates(documents, options());
    expect(units.done).toBeGreaterThan(6);
    for (const name of readdirSync(options().directory)) if (!name.endsWith(".bands")) writeFileSync(join(options().directory, name), "");
    await expect(findNearDuplicates(documents, options())).rejects.toThrow(/expected \d+ bytes, found 0\. Delete it and run again/);
    await expect(findNearDuplicates(documents, { ...options(), execution: { ...execution, workers: 2 } })).rejects.toThrow(/expected \d+ bytes, found 0\. Delete it and run again/);
  });

  test("are reported as they are done, and stop when told to", async () => {
    const stop = new AbortController();
    const seen: DedupProgress[] = [];
    const running = findWithPool(documents, { ...options(), signal: stop.signal, onProgress: (progress) => (seen.push(progress), progress.phase === "join" && stop.abort()) }, inlinePool());
    await expect(running).rejects.toMatchObject({ code: "StageCancelled" });
    expect(seen.at(-1)).toEqual({ phase: "join", unitsDone: 1, units: 3, documents: 100 });
    expect(seen[0]).toMatchObject({ phase: "sign", unitsDone: 1 });
  });
});

test("no documents have no duplicates, and an id must be one", async () => {
  expect((await find([])).summary).toMatchObject({ documents: 0, removed: 0, candidatePairs: 0 });
  await expect(find([{ id: "x", text: "" }])).rejects.toThrow("id: expected 32 hexadecimal digits, found x");
});

test("documents may come one by one, later", async () => {
  async function* late() {
    for (const document of documentsOf([numbered(50), numbered(50)])) yield await Promise.resolve(document);
  }
  const { summary } = await findNearDuplicates(late(), { directory, threshold: 0.8 });
  expect(summary.removed).toBe(1);
});
