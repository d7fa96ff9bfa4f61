import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { canMount, folderWith, smallDisk, temporaryFolder } from "../test/temporary.ts";
import { traceDisk } from "../test/trace-disk.ts";
import { RecordStore } from "./record-store.ts";

test("a record is written once, as canonical JSON in <folder>/<name>.json", async () => {
  const root = join(temporaryFolder(), "records");
  const records = new RecordStore(root);
  expect(await records.putIfAbsent("key", "name", { b: 1, a: undefined, c: [{ z: 1, y: 2 }] })).toBe(true);
  expect(await readFile(join(root, "key", "name.json"), "utf8")).toBe('{"b":1,"c":[{"y":2,"z":1}]}');
  expect(await records.putIfAbsent("key", "name", { b: 2 })).toBe(false);
  expect(await records.get("key", "name")).toEqual({ b: 1, c: [{ y: 2, z: 1 }] });
  expect(await readdir(join(root, "key"))).toEqual(["name.json"]); // no temporary file stays, whoever won
});

test("of many writers at once exactly one wins, and all read what it wrote", async () => {
  const records = new RecordStore(temporaryFolder());
  const results = await Promise.all(Array.from({ length: 20 }, (_, writer) => records.putIfAbsent("key", "name", { writer })));
  expect(results.filter(Boolean)).toHaveLength(1);
  expect(await records.get("key", "name")).toEqual({ writer: results.indexOf(true) });
});

test("a record is on disk before it has a name, and so is the name before it is told", () => {
  const root = temporaryFolder();
  const source = new URL("./record-store.ts", import.meta.url);
  const done = traceDisk(`import { RecordStore } from "${source}"; await new RecordStore("${root}").putIfAbsent("key", "name", {});`);
  const [, temporary] = /^fsync (.*)$/.exec(done[0]!)!;
  expect(temporary).toMatch(new RegExp(`^${root}/key/\\.`));
  expect(done).toEqual([`fsync ${temporary}`, `link ${temporary} ${root}/key/name.json`, `fsync ${root}/key`]);
});

test("what is not there is undefined or empty", async () => {
  const records = new RecordStore(join(temporaryFolder(), "none"));
  expect(await records.get("key", "name")).toBeUndefined();
  expect(await records.names("key")).toEqual([]);
  expect(await records.folders()).toEqual([]);
});

test("names and folders are sorted; what a killed writer left, and other files, are no records", async () => {
  const root = temporaryFolder();
  const records = new RecordStore(root);
  for (const [folder, name] of [["b", "2"], ["b", "10"], ["b", "1"], ["a", "x"]] as const) await records.putIfAbsent(folder, name, {});
  await writeFile(join(root, "b", ".0b1d.json"), "{");
  await writeFile(join(root, "b", "notes.txt"), "");
  expect(await records.names("b")).toEqual(["1", "10", "2"]);
  expect(await records.folders()).toEqual(["a", "b"]);
});

test("a damaged record is RecordCorrupt, naming the file", async () => {
  const root = folderWith({ "key/name.json": '{"a":' });
  const path = join(root, "key", "name.json");
  await expect(new RecordStore(root).get("key", "name")).rejects.toMatchObject({
    code: "RecordCorrupt",
    retryable: false,
    message: expect.stringMatching(`^${path}: expected JSON, found .*end of JSON input.*\\. Restore it from a copy`),
    details: { path },
    cause: expect.any(SyntaxError),
  });
});

test("other errors come through", async () => {
  const root = folderWith({ file: "" });
  const records = new RecordStore(root);
  await expect(records.get("file", "name")).rejects.toMatchObject({ code: "ENOTDIR" });
  await expect(records.putIfAbsent("file", "name", {})).rejects.toMatchObject({ code: "EEXIST" });
  await expect(records.names("file")).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.skipIf(!canMount)("a full disk is DiskFull, and leaves no half record (needs root to mount a small disk)", async () => {
  const root = join(smallDisk(64), "records");
  const records = new RecordStore(root);
  await expect(records.putIfAbsent("key", "big", { text: "x".repeat(100_000) })).rejects.toMatchObject({ code: "DiskFull", details: { path: root } });
  expect(await readdir(join(root, "key"))).toEqual([]);
  expect(await records.putIfAbsent("key", "small", {})).toBe(true);
});
