import { truncate } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { folderWith } from "../test/temporary.ts";
import { addUp, newStore, resolve, run, sumStage } from "../test/test-stage.ts";
import { acceptCode } from "./accept-code.ts";
import { sha256 } from "./json.ts";
import { findArtifact, lineageOf, planGarbage, verifyStore } from "./lineage-graph.ts";
import type { Store } from "./store.ts";

const clock = (start = Date.UTC(2026, 0, 1)) => {
  let time = start;
  return () => (time += 1000);
};

/** A chain of two runs: 1 2 3, then 1 2 3 4 5. */
async function chain(now = clock()) {
  const store = await newStore();
  const definition = sumStage({ sources: async () => ({ "card.yaml": "c".repeat(64) }) });
  const first = await run(store, definition, { now });
  const second = await run(store, definition, { now, request: { recipe: { length: 5 }, inputs: { start: first.outputs.sums! }, seed: 4 } });
  return { store, definition, first, second, now };
}

const blobsOf = async (store: Store) => Array.fromAsync(store.blobs.list());

describe("lineageOf", () => {
  test("leads back to the source files", async () => {
    const { store, first, second } = await chain();
    const node = await lineageOf(store, second.outputs.sums!.digest);
    const binding = async (key: string) => (await store.records.binding(key))!;
    const sources = { "card.yaml": "c".repeat(64) };
    expect(node).toEqual({
      ref: second.outputs.sums,
      role: "sums",
      run: { key: second.key, stage: "sum", seed: 4, attempt: 1, finishedFrom: await binding(second.key), acceptedFor: [] },
      inputs: {
        start: {
          ref: first.outputs.sums,
          role: "sums",
          run: { key: first.key, stage: "sum", seed: 1, attempt: 1, finishedFrom: await binding(first.key), acceptedFor: [] },
          inputs: {},
          sources,
        },
      },
      sources,
    });
  });

  test("gives the same node for an artifact that was used twice", async () => {
    const { store, definition, first } = await chain();
    const inputs = { start: first.outputs.sums!, again: first.outputs.sums! };
    const both = { ...definition, inputs: { ...definition.inputs, again: { kind: "documents" as const } } };
    const { outputs } = await run(store, both, { request: { recipe: { length: 6 }, inputs } });
    const node = await lineageOf(store, outputs.sums!.digest);
    expect(node.inputs.start).toBe(node.inputs.again);
  });

  test("of an artifact that no finished run made is ArtifactMissing", async () => {
    const { store, definition } = await chain();
    const digest = sha256("nothing");
    await expect(lineageOf(store, digest)).rejects.toMatchObject({ code: "ArtifactMissing", details: { digest, what: "a record of the run that made it" } });
    const imported = await store.artifacts.publish("documents", folderWith({ "sums.json": "[7]" }), {});
    const { outputs } = await run(store, definition, { request: { inputs: { start: imported } } });
    await expect(lineageOf(store, outputs.sums!.digest)).rejects.toMatchObject({ code: "ArtifactMissing", details: { digest: imported.digest } });
  });

  test("ends at the run that made the bytes first, also where a stage's output equals its input", async () => {
    const { store, definition, first, now } = await chain();
    // Nothing is left to add: the output has the bytes of the input.
    const same = await run(store, definition, { now, request: { inputs: { start: first.outputs.sums! } } });
    expect(same.outputs).toEqual(first.outputs);
    expect(same.key).not.toBe(first.key);
    expect((await lineageOf(store, first.outputs.sums!.digest)).run.key).toBe(first.key);
  });

  test("ends at the first run also where another one, by another way, made the same bytes later", async () => {
    for (const order of [1, -1]) {
      const store = await newStore();
      const definition = sumStage();
      const now = clock();
      const runs = [{ seed: 1 }, { seed: 2 }, { seed: 3 }];
      const keys = await Promise.all(runs.map(async (request) => (await resolve(definition, request)).key));
      const byKey = runs.map((request, i) => ({ request, key: keys[i]! })).sort((a, b) => order * (a.key < b.key ? -1 : 1));
      for (const { request } of byKey) await run(store, definition, { now, request });
      const { outputs } = (await store.records.binding(keys[0]!))!;
      expect((await lineageOf(store, outputs.sums!.digest)).run.key).toBe(byKey[0]!.key);
    }
  });

  test("shows the run that made an accepted result, and for which keys it was accepted, by whose word", async () => {
    const { store, definition, first } = await chain();
    const change = async (version: number) => resolve({ ...definition, entry: sumStage({ code: `export const version = ${version};` }).entry });
    const at = (day: number) => () => Date.UTC(2026, 1, day);
    const [second, third] = [await change(2), await change(3)];
    const { accepted } = await acceptCode(store, { from: first.key, resolved: second, reason: "renamed", now: at(1) });
    const { accepted: later } = await acceptCode(store, { from: second.key, resolved: third, reason: "moved", now: at(2) });
    const { run: made } = await lineageOf(store, first.outputs.sums!.digest);
    expect(made.key).toBe(first.key);
    expect(made.finishedFrom.facts.code).not.toBe(second.facts.code);
    const acceptances = [{ ...accepted!, key: second.key }, { ...later!, key: third.key }];
    expect(made.acceptedFor).toHaveLength(2);
    expect(made.acceptedFor).toEqual(expect.arrayContaining(acceptances));
  });

  test("falls back to an accepted binding where the record of the run itself is not there", async () => {
    const { store, definition, first } = await chain();
    const resolved = await resolve({ ...definition, entry: sumStage({ code: "export const version = 2;" }).entry });
    const binding = await acceptCode(store, { from: first.key, resolved, reason: "renamed", now: Date.now });
    const copy = await newStore();
    await copy.records.bind(resolved.key, binding);
    const { run: made } = await lineageOf(copy, first.outputs.sums!.digest);
    expect(made).toMatchObject({ key: resolved.key, acceptedFor: [], finishedFrom: { accepted: { key: first.key, reason: "renamed" } } });
  });
});

describe("findArtifact", () => {
  test("finds by name, by whole digest and by its first digits", async () => {
    const { store, first } = await chain();
    const ref = first.outputs.sums!;
    await store.names.assign("base@1", ref);
    for (const wanted of ["base@1", ref.digest, ref.digest.slice(0, 6), ref.digest.slice(0, 20)]) expect(await findArtifact(store, wanted)).toEqual(ref);
  });

  test("takes a name that looks like a digest for the name", async () => {
    const { store, first, second } = await chain();
    const name = first.outputs.sums!.digest.slice(0, 8);
    await store.names.assign(name, second.outputs.sums!);
    expect(await findArtifact(store, name)).toEqual(second.outputs.sums);
  });

  test.each([
    ["an unknown name", "base@1"],
    ["an unknown digest", "0".repeat(64)],
    ["too few digits", "PREFIX5"],
    ["capital digits", "UPPER"],
  ])("%s is ArtifactMissing, named in full", async (_, given) => {
    const { store, first } = await chain();
    const { digest } = first.outputs.sums!;
    const wanted = given === "PREFIX5" ? digest.slice(0, 5) : given === "UPPER" ? digest.toUpperCase().replace(/^\d+$/, "A") : given;
    await expect(findArtifact(store, wanted)).rejects.toMatchObject({
      code: "ArtifactMissing",
      details: { digest: wanted, what: "a name, STAGE.OUTPUT@RUN, or at least the first 6 digits of a digest" },
      message: expect.stringMatching(/ in the store, found none\. `diffucoder status -r RUN` lists what a run has made\.$/) as string,
    });
  });

  test("digits that fit several artifacts are ArtifactAmbiguous, naming them", async () => {
    const { store, first, second } = await chain();
    const twin = `${first.outputs.sums!.digest.slice(0, 6)}${"0".repeat(58)}`;
    const binding = (await store.records.binding(second.key))!;
    await store.records.bind("f".repeat(64), { ...binding, key: "f".repeat(64), outputs: { sums: { kind: "documents", digest: twin } } });
    const wanted = twin.slice(0, 6);
    const found = findArtifact(store, wanted);
    await expect(found).rejects.toMatchObject({ code: "ArtifactAmbiguous", retryable: false, details: { prefix: wanted } });
    await expect(found).rejects.toThrow(new RegExp(`^artifact ${wanted}: expected one match, found 2 \\(.*${twin}.*\\)\\. Give more digits\\.$`));
    await expect(found).rejects.toThrow(first.outputs.sums!.digest);
    expect(await findArtifact(store, twin)).toMatchObject({ digest: twin });
  });

  test("one artifact that two runs made is one match", async () => {
    const { store, definition, first } = await chain();
    await run(store, definition, { request: { seed: 77 } });
    expect(await findArtifact(store, first.outputs.sums!.digest.slice(0, 10))).toEqual(first.outputs.sums);
  });
});

describe("verifyStore", () => {
  test("finds nothing wrong with a whole store, and counts each artifact once", async () => {
    const { store, first } = await chain();
    await store.names.assign("base@1", first.outputs.sums!);
    // Outputs of 3 and 5 numbers; checkpoints at 1, 2, 3 and 4, 5.
    expect(await verifyStore(store)).toEqual({ artifacts: 7, damaged: [] });
  });

  test("names each damaged file of outputs, checkpoints and named artifacts", async () => {
    const { store, definition, first } = await chain();
    const failing = { ...definition, run: (...[request, context]: Parameters<typeof addUp>) => addUp(request, { ...context, report: ({ step }) => expect(step).toBe(1) }) };
    await expect(run(store, failing, { request: { recipe: { options: { factor: 5 } } } })).rejects.toThrow("expected 2 to be 1");
    const { key } = await resolve(definition, { recipe: { options: { factor: 5 } } });
    const [checkpoint] = await store.records.checkpoints(key);
    const named = await store.artifacts.publish("report", folderWith({ "report.txt": "named" }), {});
    await store.names.assign("report@1", named);
    await truncate(await store.artifacts.file(checkpoint!.ref, "sums.json"), 1);
    await truncate(await store.artifacts.file(named, "report.txt"), 1);
    await store.blobs.remove(first.outputs.sums!.digest);
    const { damaged, artifacts } = await verifyStore(store);
    expect(artifacts).toBe(9);
    expect(damaged.map(({ artifact, path, expected, found }) => [artifact, path, expected, found]).sort()).toEqual(
      [
        [checkpoint!.ref.digest, "sums.json", "3 bytes", "1 bytes"],
        [named.digest, "report.txt", "5 bytes", "1 bytes"],
        [first.outputs.sums!.digest, "manifest", first.outputs.sums!.digest, "no file"],
      ].sort(),
    );
  });
});

describe("planGarbage", () => {
  test("spares all that records and names lead to, checkpoints included", async () => {
    const { store } = await chain();
    const named = await store.artifacts.publish("report", folderWith({ "report.txt": "named" }), {});
    await store.names.assign("report@1", named);
    expect(await planGarbage(store)).toEqual([]);
  });

  test("lists what nothing leads to, with its size", async () => {
    const { store } = await chain();
    const live = await blobsOf(store);
    const orphan = await store.artifacts.publish("checkpoint", folderWith({ "model.bin": "twelve bytes" }), { step: 1 });
    const garbage = await planGarbage(store);
    expect(garbage.map(({ digest }) => digest)).toEqual((await blobsOf(store)).filter((digest) => !live.includes(digest)));
    expect(garbage).toContainEqual({ digest: sha256("twelve bytes"), bytes: 12 });
    expect(garbage).toContainEqual({ digest: orphan.digest, bytes: (await store.blobs.stat(orphan.digest))! });
    expect(garbage).toHaveLength(2);
  });

  test("spares a file that a live artifact shares with a dead one", async () => {
    const { store, first } = await chain();
    const content = JSON.stringify([1, 2, 3]);
    const orphan = await store.artifacts.publish("documents", folderWith({ "elsewhere.json": content }), {});
    expect((await planGarbage(store)).map(({ digest }) => digest)).toEqual([orphan.digest]);
    expect((await store.artifacts.manifest(first.outputs.sums!)).files[0]!.sha256).toBe(sha256(content));
  });

  test("leaves a whole store behind when all it names is removed", async () => {
    const { store, definition } = await chain();
    await store.artifacts.publish("report", folderWith({ a: "1", b: "2" }), {});
    for (const { digest } of await planGarbage(store)) await store.blobs.remove(digest);
    expect(await planGarbage(store)).toEqual([]);
    expect((await verifyStore(store)).damaged).toEqual([]);
    expect((await run(store, definition)).cached).toBe(true);
  });

  test("lists the files of an artifact whose manifest is lost, which nothing can read any more", async () => {
    const { store } = await chain();
    const named = await store.artifacts.publish("report", folderWith({ "report.txt": "named" }), {});
    await store.names.assign("report@1", named);
    await store.blobs.remove(named.digest);
    expect(await planGarbage(store)).toEqual([{ digest: sha256("named"), bytes: 5 }]);
  });
});
