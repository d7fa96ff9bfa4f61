import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../test/temporary.ts";
import type { ArtifactRef } from "./artifact-store.ts";
import { sha256 } from "./json.ts";
import { NameDrift, NameStore } from "./names.ts";
import { RecordStore } from "./record-store.ts";

const ref = (text: string): ArtifactRef => ({ kind: "checkpoint", digest: sha256(text) });
const [A, B] = [ref("a"), ref("b")];

function open(root = temporaryFolder()) {
  const records = new RecordStore(root);
  return { root, records, names: new NameStore(records) };
}

describe("names", () => {
  test("point to artifacts, also for one who opens the store anew", async () => {
    const { root, names } = open();
    await names.assign("base@1", A);
    await names.assign("base@2", B);
    expect(await open(root).names.resolve("base@1")).toEqual(A);
    expect(await names.resolve("base@2")).toEqual(B);
    expect(await names.resolve("base@3")).toBeUndefined();
  });

  test("may hold any characters", async () => {
    const { names } = open();
    await names.assign("../ünï/c:ode@1.0 \n", A);
    expect(await names.list()).toEqual([{ name: "../ünï/c:ode@1.0 \n", ref: A }]);
  });

  test("assigned to the same artifact again stay as they are, without a new record", async () => {
    const { names, records } = open();
    await names.assign("base@1", A);
    await names.assign("base@1", A, { reason: "not needed" });
    expect(await records.names(sha256("base@1"))).toEqual(["000000"]);
  });

  test("drift is an error that names both artifacts and what to do", async () => {
    const { names } = open();
    await names.assign("base@1", A);
    const drift = names.assign("base@1", B);
    await expect(drift).rejects.toBeInstanceOf(NameDrift);
    await expect(drift).rejects.toMatchObject({
      code: "NameDrift",
      retryable: false,
      message:
        `name base@1: expected artifact ${A.digest.slice(0, 12)} as recorded, found ${B.digest.slice(0, 12)}. ` +
        "Use a new version, or record a waiver with a reason.",
      details: { name: "base@1", recorded: A.digest, offered: B.digest },
    });
    expect(await names.resolve("base@1")).toEqual(A);
  });

  test("move under a waiver, whose reason is kept beside the older records", async () => {
    const { names, records } = open();
    await names.assign("base@1", A);
    await names.assign("base@1", B, { reason: "the first one was trained on the wrong shards" });
    await names.assign("base@1", A, { reason: "it was not" });
    expect(await names.resolve("base@1")).toEqual(A);
    const folder = sha256("base@1");
    expect(await records.names(folder)).toEqual(["000000", "000001", "000002"]);
    expect(await records.get(folder, "000000")).toEqual({ name: "base@1", ref: A, waiver: null });
    expect(await records.get(folder, "000001")).toEqual({ name: "base@1", ref: B, waiver: "the first one was trained on the wrong shards" });
  });

  test("claimed by many at once go to one of them; the others drift", async () => {
    const { names, records } = open();
    const refs = Array.from({ length: 8 }, (_, i) => ref(`claim ${i}`));
    const results = await Promise.allSettled(refs.map((claim) => names.assign("base@1", claim)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) if (result.status === "rejected") expect(result.reason).toBeInstanceOf(NameDrift);
    const winner = refs[results.findIndex(({ status }) => status === "fulfilled")];
    expect(await names.resolve("base@1")).toEqual(winner);
    expect(await records.names(sha256("base@1"))).toEqual(["000000"]);
  });

  test("claimed for one artifact by many at once are theirs, with one record", async () => {
    const { names, records } = open();
    await Promise.all(Array.from({ length: 8 }, () => names.assign("base@1", A)));
    expect(await records.names(sha256("base@1"))).toEqual(["000000"]);
  });

  test("are listed sorted by name, each with what it points to now", async () => {
    const { root, names } = open();
    for (const name of ["c@1", "a@2", "b@1", "a@10"]) await names.assign(name, A);
    await names.assign("b@1", B, { reason: "test" });
    await mkdir(join(root, sha256("begun and killed")));
    expect(await names.list()).toEqual([
      { name: "a@10", ref: A },
      { name: "a@2", ref: A },
      { name: "b@1", ref: B },
      { name: "c@1", ref: A },
    ]);
    expect(await names.resolve("begun and killed")).toBeUndefined();
    expect(await readdir(root)).toHaveLength(5);
  });
});
