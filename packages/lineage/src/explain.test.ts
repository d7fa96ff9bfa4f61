import { truncate } from "node:fs/promises";
import { expect, test } from "vitest";
import { addUp, newStore, resolve, run, sumStage } from "../test/test-stage.ts";
import { StageCancelled } from "./errors.ts";
import { differencesOf, explainStage } from "./explain.ts";

test("a stage that has run is a hit", async () => {
  const store = await newStore();
  const definition = sumStage();
  const { key } = await run(store, definition);
  expect(await explainStage(store, await resolve(definition))).toEqual({ kind: "hit", key });
});

test("why a stage that has run did so is told by the nearest run under another key, never its own", async () => {
  const store = await newStore();
  const definition = sumStage();
  const earlier = await run(store, definition);
  const { key } = await run(store, definition, { request: { seed: 2 } });
  expect(await explainStage(store, await resolve(definition, { seed: 2 }))).toEqual({
    kind: "hit",
    key,
    nearest: { key: earlier.key, differences: [{ path: "seed", before: 1, now: 2 }] },
  });
});

test("a stage that has run and whose output is damaged is no hit: it says what is damaged", async () => {
  const store = await newStore();
  const definition = sumStage();
  const { key, outputs } = await run(store, definition);
  const path = await store.artifacts.file(outputs.sums!, "sums.json");
  await truncate(path, 3);
  expect(await explainStage(store, await resolve(definition))).toEqual({
    kind: "damaged",
    key,
    damage: `output sums of key ${key.slice(0, 12)} is damaged (sums.json: expected 7 bytes, found 3 bytes); running the stage again`,
  });
});

test("a stage of which nothing is recorded is a miss with no run near it, whatever other stages did", async () => {
  const store = await newStore();
  await run(store, sumStage());
  const other = await resolve(sumStage({ name: "other" }));
  expect(await explainStage(store, other)).toEqual({ kind: "miss", key: other.key });
});

test("a stage that was begun and did not finish is unfinished, with its checkpoints", async () => {
  const store = await newStore();
  const definition = sumStage({
    run: (request, context) =>
      addUp(request, { ...context, report: ({ step }) => { if (step === 3) throw new StageCancelled("sum", 2); } }), // prettier-ignore
  });
  await expect(run(store, definition)).rejects.toBeInstanceOf(StageCancelled);
  const resolved = await resolve(definition);
  expect(await explainStage(store, resolved)).toEqual({ kind: "unfinished", key: resolved.key, checkpointSteps: [2, 1] });
});

test("a miss names every fact that differs from the nearest run, and no other", async () => {
  const store = await newStore();
  const definition = sumStage({ sources: async ({ length }) => ({ card: String(length).repeat(64) }) });
  const base = { length: 3, options: { factor: 2, words: [{ z: 1, a: 2 }] } };
  const near = await run(store, definition, { request: { recipe: base } });
  await run(store, definition, { request: { recipe: { length: 7, options: { factor: 9 } }, seed: 5 } });
  const start = { kind: "documents", digest: "d".repeat(64) } as const;
  const resolved = await resolve(definition, { recipe: { ...base, length: 4 }, inputs: { start }, seed: 2 }, "bf16");
  expect(await explainStage(store, resolved)).toEqual({
    kind: "miss",
    key: resolved.key,
    nearest: {
      key: near.key,
      differences: expect.arrayContaining([
        { path: "dtype", before: "fp32", now: "bf16" },
        { path: "inputs.start", before: undefined, now: start.digest },
        { path: "recipe.length", before: 3, now: 4 },
        { path: "seed", before: 1, now: 2 },
        { path: "sources.card", before: "3".repeat(64), now: "4".repeat(64) },
      ]) as unknown,
    },
  });
  expect(await explainStage(store, resolved)).toHaveProperty("nearest.differences.length", 5);
});

test("a list that differs is one difference, whatever the order of its objects' keys", async () => {
  const store = await newStore();
  const definition = sumStage();
  const recipe = (z: number) => ({ options: { words: [{ a: 1, z }] } });
  await run(store, definition, { request: { recipe: recipe(1) } });
  const resolved = await resolve(definition, { recipe: recipe(2) });
  expect(await explainStage(store, resolved)).toMatchObject({
    nearest: { differences: [{ path: "recipe.options.words", before: [{ a: 1, z: 1 }], now: [{ a: 1, z: 2 }] }] },
  });
  // The schema gives z before a, the record has a before z: no difference.
  expect(await explainStage(store, await resolve(definition, { recipe: recipe(1), seed: 2 }))).toMatchObject({
    nearest: { differences: [{ path: "seed", before: 1, now: 2 }] },
  });
});

test("of equally near runs it names the newest that finished", async () => {
  const store = await newStore();
  const versions = Array.from({ length: 4 }, (_, i) => sumStage({ code: `export const version = ${i};` }));
  const times = [Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 3), Date.UTC(2026, 0, 2)];
  const keys: string[] = [];
  for (const [i, time] of times.entries()) keys.push((await run(store, versions[i]!, { now: () => time })).key);
  const failing = { ...versions[3]!, run: () => Promise.reject(new Error("broken")) };
  await expect(run(store, failing, { now: () => Date.UTC(2026, 0, 4) })).rejects.toThrow("broken");
  const now = sumStage({ code: "export const version = 'now';" });
  expect(await explainStage(store, await resolve(now))).toMatchObject({ kind: "miss", nearest: { key: keys[1], differences: [{ path: "code" }] } });
});

test("an unfinished run that is nearer comes before a finished one", async () => {
  const store = await newStore();
  const definition = sumStage();
  await run(store, definition);
  const failing = { ...definition, run: () => Promise.reject(new Error("broken")) };
  await expect(run(store, failing, { request: { recipe: { length: 9 }, seed: 8 } })).rejects.toThrow("broken");
  const resolved = await resolve(definition, { recipe: { length: 9 }, seed: 7 });
  expect(await explainStage(store, resolved)).toMatchObject({ kind: "miss", nearest: { differences: [{ path: "seed", before: 8, now: 7 }] } });
});

test("values of different kinds differ as a whole, and an absent one differs from null", () => {
  const facts = { stage: "s", code: "c", inputs: {}, sources: {}, seed: 1, dtype: null };
  expect(differencesOf({ ...facts, recipe: { a: { b: 1 }, c: [1], d: null } }, { ...facts, recipe: { a: [1], c: { 0: 1 } } })).toEqual([
    { path: "recipe.a", before: { b: 1 }, now: [1] },
    { path: "recipe.c", before: [1], now: { 0: 1 } },
    { path: "recipe.d", before: null, now: undefined },
  ]);
  expect(differencesOf({ ...facts, recipe: {} }, { ...facts, recipe: {} })).toEqual([]);
});
