import { truncate } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { expect, test } from "vitest";
import { NUMERICS, newStore, resolve, run, sumStage } from "../test/test-stage.ts";
import { acceptCode } from "./accept-code.ts";
import { explainStage } from "./explain.ts";
import type { Binding } from "./records.ts";
import { runStage } from "./run-stage.ts";

const AT = Date.UTC(2026, 1, 3, 4, 5, 6);
const now = () => AT;
const reason = "only an error message changed";

/** A finished run, and the same stage with other code. */
async function changedCode() {
  const store = await newStore();
  const definition = sumStage();
  const made = await run(store, definition);
  const changed = { ...definition, entry: sumStage({ code: "export const version = 2;" }).entry, run: () => Promise.reject(new Error("must not run")) };
  return { store, made, definition, changed, resolved: await resolve(changed) };
}

test("an old result stands under the key of new code, with who said so, when and why", async () => {
  const { store, made, changed, resolved } = await changedCode();
  const explanation = await explainStage(store, resolved);
  expect(explanation).toMatchObject({ kind: "miss", nearest: { key: made.key, differences: [{ path: "code" }] } });
  const binding = await acceptCode(store, { from: explanation.nearest!.key, resolved, reason, now });
  const old = (await store.records.binding(made.key))!;
  expect(binding).toEqual<Binding>({
    ...old,
    key: resolved.key,
    facts: resolved.facts,
    accepted: { key: made.key, reason, by: `${userInfo().username}@${hostname()}`, at: "2026-02-03T04:05:06.000Z" },
  });
  expect(await store.records.binding(resolved.key)).toEqual(binding);
  expect(old.accepted).toBeUndefined();
  const outcome = await runStage({ store, definition: changed, request: resolved.request, numerics: NUMERICS, signal: new AbortController().signal, now });
  expect(outcome).toEqual({ ...made, key: resolved.key, cached: true });
  expect(await explainStage(store, resolved)).toMatchObject({ kind: "hit", key: resolved.key });
});

test("what was accepted can be accepted again for newer code", async () => {
  const { store, made, definition, resolved } = await changedCode();
  await acceptCode(store, { from: made.key, resolved, reason, now });
  const newest = await resolve({ ...definition, entry: sumStage({ code: "export const version = 3;" }).entry });
  const binding = await acceptCode(store, { from: resolved.key, resolved: newest, reason: "a comment in a string", now });
  expect(binding).toMatchObject({ outputs: made.outputs, accepted: { key: resolved.key, reason: "a comment in a string" } });
});

test("a key that is bound stays as it is", async () => {
  const { store, made, changed, resolved } = await changedCode();
  const first = await acceptCode(store, { from: made.key, resolved, reason, now });
  expect(await acceptCode(store, { from: made.key, resolved, reason: "another", now: Date.now })).toEqual(first);
  const ran = await run(await newStore(), { ...changed, run: sumStage().run });
  expect(ran.key).toBe(resolved.key);
  const { store: other, made: again } = await changedCode();
  const run2 = await run(other, { ...changed, run: sumStage().run });
  expect(await acceptCode(other, { from: again.key, resolved, reason, now })).toEqual(await other.records.binding(run2.key));
});

test("a difference in anything but the code is refused, naming it", async () => {
  const { store, made, changed } = await changedCode();
  const resolved = await resolve(changed, { seed: 2, recipe: { length: 9 } });
  await expect(acceptCode(store, { from: made.key, resolved, reason, now })).rejects.toMatchObject({
    code: "AcceptanceRefused",
    retryable: false,
    message: `stage key ${resolved.key.slice(0, 12)}: expected nothing but the code to differ from key ${made.key.slice(0, 12)}, found code, recipe.length, seed.`,
  });
  const sameCode = await resolve({ ...changed, entry: sumStage().entry }, { seed: 2 });
  await expect(acceptCode(store, { from: made.key, resolved: sameCode, reason, now })).rejects.toThrow("found seed.");
  expect(await store.records.binding(resolved.key)).toBeUndefined();
});

test("no difference at all is refused: there is nothing to accept", async () => {
  const { store, made, definition } = await changedCode();
  const resolved = await resolve(definition);
  await expect(acceptCode(store, { from: made.key, resolved, reason, now })).rejects.toMatchObject({
    code: "AcceptanceRefused",
    details: { key: made.key, expected: `nothing but the code to differ from key ${made.key.slice(0, 12)}`, found: "no difference" },
  });
});

test("a run that did not finish, or whose output is damaged, is refused", async () => {
  const { store, made, resolved } = await changedCode();
  const refusal = (key: string) => ({
    code: "AcceptanceRefused",
    message: `stage key ${resolved.key.slice(0, 12)}: expected a finished run of key ${key.slice(0, 12)} with all its files, found none.`,
  });
  await expect(acceptCode(store, { from: "0".repeat(64), resolved, reason, now })).rejects.toMatchObject(refusal("0".repeat(64)));
  await truncate(await store.artifacts.file(made.outputs.sums!, "sums.json"), 2);
  await expect(acceptCode(store, { from: made.key, resolved, reason, now })).rejects.toMatchObject(refusal(made.key));
});

test.each(["", "  \n"])("a reason is needed: %j", async (empty) => {
  const { store, made, resolved } = await changedCode();
  await expect(acceptCode(store, { from: made.key, resolved, reason: empty, now })).rejects.toMatchObject({
    code: "AcceptanceRefused",
    message: `stage key ${resolved.key.slice(0, 12)}: expected a reason, found none.`,
  });
});
