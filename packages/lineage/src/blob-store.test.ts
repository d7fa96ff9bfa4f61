import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { describeBlobStore } from "../test/blob-store-conformance.ts";
import { canMount, folderWith, smallDisk, temporaryFolder } from "../test/temporary.ts";
import { traceDisk } from "../test/trace-disk.ts";
import { FileBlobStore, hashFile, listFolder, syncFile } from "./blob-store.ts";
import { sha256 } from "./json.ts";

const pathIn = (root: string, digest: string) => join(root, digest.slice(0, 2), digest);

describeBlobStore("FileBlobStore", async () => {
  const root = join(temporaryFolder(), "blobs");
  return { store: new FileBlobStore(root), damage: (digest, content) => writeFile(pathIn(root, digest), content) };
});

test("a blob is the file <first two digits>/<digest>, and nothing else stays behind", async () => {
  const root = temporaryFolder();
  const store = new FileBlobStore(root);
  const { sha256: digest } = await store.putBytes(Buffer.from("x"));
  expect(await store.locate(digest)).toBe(pathIn(root, digest));
  expect((await readdir(root)).sort()).toEqual([digest.slice(0, 2), "incoming"].sort());
  expect(await readdir(join(root, "incoming"))).toEqual([]);
});

test("a blob is on disk before it has a name, and so is the name before it is told", () => {
  const root = temporaryFolder();
  const source = new URL("./blob-store.ts", import.meta.url);
  const done = traceDisk(`import { FileBlobStore } from "${source}"; await new FileBlobStore("${root}").putBytes(Buffer.from("x"));`);
  const path = pathIn(root, sha256("x"));
  const [, temporary] = /^fsync (.*)$/.exec(done[0]!)!;
  expect(temporary).toMatch(new RegExp(`^${root}/incoming/`));
  expect(done).toEqual([`fsync ${temporary}`, `rename ${temporary} ${path}`, `fsync ${dirname(path)}`]);
});

test("bytes that are there are not written again", async () => {
  const root = temporaryFolder();
  const store = new FileBlobStore(root);
  const { sha256: digest } = await store.putBytes(Buffer.from("x"));
  const before = await stat(pathIn(root, digest));
  await store.putBytes(Buffer.from("x"));
  expect((await stat(pathIn(root, digest))).ino).toBe(before.ino);
});

test("a blob has no name before its last byte is in place", async () => {
  const root = temporaryFolder();
  const store = new FileBlobStore(root);
  const content = Buffer.alloc(8_000_000, "part");
  const digest = sha256(content);
  const path = join(folderWith({ big: content }), "big");
  const sizes = new Set<number | undefined>();
  let done = false;
  const writing = store.putFile(path).finally(() => (done = true));
  while (!done) sizes.add(await store.stat(digest));
  await writing;
  sizes.add(await store.stat(digest));
  expect(sizes.has(undefined)).toBe(true); // it was looked at while being written
  expect([...sizes].filter((size) => size !== undefined)).toEqual([content.length]);
});

test("what a killed writer left in incoming is not listed, nor a file that is no folder of blobs", async () => {
  const root = temporaryFolder();
  await mkdir(join(root, "incoming"));
  await writeFile(join(root, "incoming", "half"), "ha");
  const store = new FileBlobStore(root);
  const { sha256: digest } = await store.putBytes(Buffer.from("x"));
  expect(await Array.fromAsync(store.list())).toEqual([digest]);
});

test("a failed write leaves nothing in incoming", async () => {
  const root = temporaryFolder();
  const store = new FileBlobStore(root);
  await expect(store.putFile(root)).rejects.toMatchObject({ code: "EISDIR" });
  expect(await readdir(join(root, "incoming"))).toEqual([]);
});

test("an error that is not about absence comes through", async () => {
  const root = join(folderWith({ file: "" }), "file"); // a file where the folder of blobs should be
  const store = new FileBlobStore(root);
  await expect(store.stat(sha256("x"))).rejects.toMatchObject({ code: "ENOTDIR" });
  await expect(store.locate(sha256("x"))).rejects.toMatchObject({ code: "ENOTDIR" });
  await expect(Array.fromAsync(store.list())).rejects.toMatchObject({ code: "ENOTDIR" });
});

test.skipIf(!canMount)("a full disk is the typed error DiskFull, and leaves neither blob nor remains (needs root to mount a small disk)", async () => {
  const root = join(smallDisk(64), "blobs");
  const store = new FileBlobStore(root);
  const small = await store.putBytes(Buffer.from("small"));
  await expect(store.putBytes(Buffer.alloc(100_000))).rejects.toMatchObject({ code: "DiskFull", retryable: false, details: { path: root } });
  expect(await readdir(join(root, "incoming"))).toEqual([]);
  expect(await Array.fromAsync(store.list())).toEqual([small.sha256]);
  expect(await readFile((await store.locate(small.sha256))!, "utf8")).toBe("small");
});

test("hashFile is the sha256 of a file's bytes", async () => {
  const content = Buffer.alloc(200_000, "hash");
  expect(await hashFile(join(folderWith({ f: content }), "f"))).toBe(sha256(content));
  await expect(hashFile("/nowhere/at/all")).rejects.toMatchObject({ code: "ENOENT" });
});

test("listFolder sorts, and takes a missing folder for an empty one", async () => {
  expect(await listFolder(folderWith({ b: "", a: "", c: "" }))).toEqual(["a", "b", "c"]);
  expect(await listFolder("/nowhere/at/all")).toEqual([]);
});

test.skipIf(process.platform !== "linux")("syncFile syncs files and folders, and closes what it opened", async () => {
  const folder = folderWith({ f: "x" });
  const open = async () => (await readdir("/proc/self/fd")).length;
  const before = await open();
  for (let i = 0; i < 20; i++) {
    await syncFile(join(folder, "f"));
    await syncFile(folder);
  }
  expect(await open()).toBeLessThan(before + 10);
  await expect(syncFile(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
});
