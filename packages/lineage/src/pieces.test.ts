import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { readFile, readdir, unlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { newStore, NUMERICS, run, sumStage } from "../test/test-stage.ts";
import { canMount, smallDisk, temporaryFolder } from "../test/temporary.ts";
import { canonicalJson, sha256 } from "./json.ts";
import { planGarbage } from "./lineage-graph.ts";
import { runPart, type RunStageOptions } from "./run-stage.ts";
import type { PartContext } from "./stage.ts";
import { openStore, type Store } from "./store.ts";

const FACTS = { unit: "test", number: 1 };
const recordOf = (store: Store, facts = FACTS) => join(store.root, "pieces", sha256(canonicalJson(facts)), "piece.json");

/** Makes the piece and tells how often it was made in this test. */
function maker(store: Store, scratch = temporaryFolder()) {
  let made = 0;
  const make = (content = "one", facts = FACTS) =>
    store.pieces.findOrMake(facts, scratch, async (directory) => {
      made++;
      await writeFile(join(directory, "a"), content);
      await writeFile(join(directory, "b"), "two");
    });
  return { make, made: () => made, scratch };
}

test("a piece is made once and found from then on, under the facts that it depends on", async () => {
  const store = await newStore();
  const { make, made, scratch } = maker(store);
  const first = await make();
  expect(first).toMatchObject({ isFound: false, key: sha256(canonicalJson(FACTS)), files: { a: { sha256: sha256("one"), bytes: 3 }, b: { bytes: 3 } } });
  expect(await readFile(first.files.a!.location, "utf8")).toBe("one");
  expect(await make()).toEqual({ ...first, isFound: true });
  expect(made()).toBe(1);
  expect((await make("other", { ...FACTS, number: 2 })).isFound).toBe(false);
  expect(await readdir(scratch)).toEqual([]);
});

test.each([
  ["damaged", (path: string) => writeFile(path, "On")],
  ["changed in one byte", (path: string) => writeFile(path, "onE")],
  ["gone", unlink],
])("a piece of which a file is %s is made anew", async (_, spoil) => {
  const store = await newStore();
  const { make, made } = maker(store);
  const { files } = await make();
  await spoil(files.a!.location);
  expect((await make()).isFound).toBe(false);
  expect(await readFile(files.a!.location, "utf8")).toBe("one");
  expect((await make()).isFound).toBe(true);
  expect(made()).toBe(2);
});

test("other bytes under equal facts are an alarm; what was forgotten may be made otherwise", async () => {
  const store = await newStore();
  const [one, other] = [maker(store), maker(store)];
  const gate = Promise.withResolvers<void>();
  const late = store.pieces.findOrMake(FACTS, other.scratch, async (directory) => {
    await gate.promise;
    await writeFile(join(directory, "a"), "1");
  });
  const { key } = await one.make();
  gate.resolve();
  await expect(late).rejects.toMatchObject({ code: "Nondeterminism", details: { key, role: "a", first: sha256("one"), second: sha256("1") } });
  await store.pieces.forget(key);
  expect(await other.make("1")).toMatchObject({ isFound: false, files: { a: { sha256: sha256("1") } } });
});

test("a piece whose making fails, or whose process is killed on the way, is never there", async () => {
  const store = await newStore();
  const scratch = temporaryFolder();
  const failing = store.pieces.findOrMake(FACTS, scratch, async (directory) => {
    await writeFile(join(directory, "a"), "half");
    throw new Error("told to");
  });
  await expect(failing).rejects.toThrow("told to");
  expect(existsSync(recordOf(store))).toBe(false);
  expect(readdirSync(scratch)).toEqual([]);

  const marker = join(scratch, "marker");
  const script = `
    import { openStore } from "@diffucoder/lineage";
    import { writeFileSync } from "node:fs";
    const store = await openStore(${JSON.stringify(store.root)});
    await store.pieces.findOrMake(${JSON.stringify(FACTS)}, ${JSON.stringify(scratch)}, async (directory) => {
      writeFileSync(directory + "/a", "one");
      writeFileSync(${JSON.stringify(marker)}, "");
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    });`;
  const child = spawn(process.execPath, ["--conditions=@diffucoder/source", "--input-type=module", "--eval", script], { cwd: import.meta.dirname, stdio: "inherit" });
  while (!existsSync(marker)) await sleep(10);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(existsSync(recordOf(store))).toBe(false);
  expect((await maker(store).make()).isFound).toBe(false);
});

test("a piece is spared for a week after it was last made or found, and then it is garbage", async () => {
  const store = await newStore();
  const { make } = maker(store);
  await make();
  const blobs = await Array.fromAsync(store.blobs.list());
  const day = 24 * 3_600_000;
  expect(await planGarbage(store)).toEqual([]);
  expect(await planGarbage(store, () => Date.now() + 6.9 * day)).toEqual([]);
  expect((await planGarbage(store, () => Date.now() + 7.1 * day)).map(({ digest }) => digest)).toEqual(blobs);
  const old = new Date(Date.now() - 8 * day);
  await utimes(recordOf(store), old, old);
  expect(await planGarbage(store)).toHaveLength(2);
  await make(); // found: in use again
  expect(await planGarbage(store)).toEqual([]);
  await utimes(recordOf(store), old, old);
  for (const { digest } of await planGarbage(store)) await store.blobs.remove(digest);
  expect((await make()).isFound).toBe(false);
  expect(await planGarbage(store)).toEqual([]);
});

test("a part of a stage leaves its pieces to the stage, with the sources of the key, and no other trace", async () => {
  const store = await newStore();
  const seen: unknown[] = [];
  const piece = (context: PartContext) => maker(store, context.scratchDir).make();
  const definition = sumStage({
    parts: {
      count: ({ checkpointEvery }) => checkpointEvery,
      run: async ({ recipe }, part, context) => {
        seen.push([recipe.length, part, context.sources, readdirSync(context.scratchDir), (await piece(context)).isFound]);
      },
    },
    run: async ({ recipe }, context) => {
      const { isFound } = await piece(context);
      const folder = join(context.scratchDir, "sums");
      writeFileSync(folder, "");
      seen.push([recipe.length, context.sources, isFound]);
      throw new Error("enough");
    },
    sources: async () => ({ file: "abc" }),
  });
  const options: RunStageOptions = { store, definition, request: { recipe: {}, execution: {}, inputs: {}, seed: 1, baseDirectory: "/" }, numerics: NUMERICS, signal: new AbortController().signal, now: Date.now };
  const cost = await runPart({ ...options, part: { index: 1, count: 2 }, sources: { file: "abc" } });
  expect(cost).toEqual({ cpuMs: expect.any(Number) as number, peakMemoryBytes: expect.any(Number) as number });
  expect(cost.peakMemoryBytes).toBeGreaterThan(1e7);
  expect(readdirSync(join(store.root, "scratch"))).toEqual([]);
  expect(existsSync(join(store.root, "records"))).toBe(false);
  await expect(run(store, definition)).rejects.toThrow("enough");
  expect(seen).toEqual([
    [3, { index: 1, count: 2 }, { file: "abc" }, [], false],
    [3, { file: "abc" }, true],
  ]);
  await expect(runPart({ ...options, request: { ...options.request, recipe: { lenght: 1 } }, part: { index: 0, count: 2 }, sources: {} })).rejects.toMatchObject({ code: "InvalidRecipe" });
});

test.skipIf(!canMount)("a part without room for its pieces is DiskFull and leaves none (needs root to mount a small disk)", async () => {
  const store = await openStore(join(smallDisk(256), "store"));
  const run = (_request: unknown, _part: unknown, { pieces, scratchDir }: PartContext) =>
    pieces.findOrMake(FACTS, scratchDir, (directory) => writeFile(join(directory, "a"), Buffer.alloc(300_000))).then(() => {});
  const options = { store, definition: sumStage({ parts: { count: () => 2, run } }), request: { recipe: {}, execution: {}, inputs: {}, seed: 1, baseDirectory: "/" }, numerics: NUMERICS, signal: new AbortController().signal, now: Date.now };
  await expect(runPart({ ...options, part: { index: 0, count: 2 }, sources: {} })).rejects.toMatchObject({ code: "DiskFull", retryable: false });
  expect(readdirSync(join(store.root, "scratch"))).toEqual([]);
  expect(existsSync(join(store.root, "pieces"))).toBe(false);
});

test("what parts have cost is in the record of the run that they are of", async () => {
  const store = await newStore();
  const startedAt = Date.UTC(2026, 0, 2);
  const { key } = await run(store, sumStage(), { now: () => startedAt + 5000, parts: { startedAt, cpuMs: 1_000_000, peakMemoryBytes: 1e13 } });
  const { cost } = (await store.records.binding(key))!;
  expect(cost).toMatchObject({ startedAt: "2026-01-02T00:00:00.000Z", wallMs: 5000, peakMemoryBytes: 1e13 });
  expect(cost.cpuMs).toBeGreaterThanOrEqual(1_000_000);
  expect(cost.cpuMs).toBeLessThan(2_000_000);
});
