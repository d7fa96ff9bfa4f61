import { symlinkSync } from "node:fs";
import { mkdir, readFile, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { folderWith, temporaryFolder } from "../test/temporary.ts";
import { ArtifactStore, type ArtifactRef } from "./artifact-store.ts";
import { FileBlobStore } from "./blob-store.ts";
import { canonicalJson, sha256 } from "./json.ts";

const FILES = { "b.txt": "second", "a/deep.txt": "first", "empty": "" };

async function published(files: Readonly<Record<string, string>> = FILES) {
  const blobs = new FileBlobStore(join(temporaryFolder(), "blobs"));
  const artifacts = new ArtifactStore(blobs);
  const ref = await artifacts.publish("documents", folderWith(files), { documents: 2 });
  const locate = async (digest: string) => (await blobs.locate(digest))!;
  return { blobs, artifacts, ref, blobOf: (path: keyof typeof FILES) => locate(sha256(FILES[path])), manifestPath: () => locate(ref.digest) };
}

async function flip(path: string, byte = 0): Promise<void> {
  const content = await readFile(path);
  content[byte]! ^= 0x80;
  await writeFile(path, content);
}

describe("publish", () => {
  test("ties all files together by a manifest, whose digest names the artifact", async () => {
    const { artifacts, ref, blobs } = await published();
    const manifest = {
      version: 1,
      kind: "documents",
      files: [
        { path: "a/deep.txt", sha256: sha256("first"), bytes: 5 },
        { path: "b.txt", sha256: sha256("second"), bytes: 6 },
        { path: "empty", sha256: sha256(""), bytes: 0 },
      ],
      meta: { documents: 2 },
    };
    expect(ref).toEqual({ kind: "documents", digest: sha256(canonicalJson(manifest)) });
    expect(await artifacts.manifest(ref)).toEqual(manifest);
    expect(await Array.fromAsync(blobs.list())).toHaveLength(4);
  });

  test("sorts paths by code unit, whatever the order in which the disk lists them", async () => {
    const { artifacts, ref } = await published({ "z": "1", "a/z": "2", "B": "3", "a.txt": "4", "a/b/c": "5", "ä": "6" });
    // "." sorts before "/", capitals before small letters
    expect((await artifacts.manifest(ref)).files.map(({ path }) => path)).toEqual(["B", "a.txt", "a/b/c", "a/z", "z", "ä"]);
  });

  test("gives equal folders equal digests, and others others", async () => {
    const store = new ArtifactStore(new FileBlobStore(temporaryFolder()));
    const digest = async (...[files, meta, kind = "report"]: [Record<string, string>, { m: number }, "report"?] | [Record<string, string>, { m: number }, "shards"]) =>
      (await store.publish(kind, folderWith(files), meta)).digest;
    const first = await digest({ x: "1", y: "2" }, { m: 1 });
    expect(await digest({ y: "2", x: "1" }, { m: 1 })).toBe(first);
    for (const other of [digest({ x: "1", y: "3" }, { m: 1 }), digest({ x: "1", z: "2" }, { m: 1 }), digest({ x: "1", y: "2" }, { m: 2 }), digest({ x: "1", y: "2" }, { m: 1 }, "shards")]) {
      expect(await other).not.toBe(first);
    }
  });

  test("leaves the folder as it is", async () => {
    const folder = folderWith(FILES);
    await new ArtifactStore(new FileBlobStore(temporaryFolder())).publish("report", folder, {});
    expect(await readFile(join(folder, "a/deep.txt"), "utf8")).toBe("first");
  });

  test("refuses a link, which it could only drop, and writes no manifest", async () => {
    const folder = folderWith({ "x/file": "1" });
    symlinkSync("file", join(folder, "x/link"));
    const blobs = new FileBlobStore(temporaryFolder());
    await expect(new ArtifactStore(blobs).publish("report", folder, {})).rejects.toThrow(
      new TypeError(`${join(folder, "x/link")}: expected a file or directory, found a link or device`),
    );
    expect(await Array.fromAsync(blobs.list())).toEqual([]);
  });

  test("refuses figures that JSON cannot hold", async () => {
    const store = new ArtifactStore(new FileBlobStore(temporaryFolder()));
    await expect(store.publish("report", folderWith({}), { loss: NaN })).rejects.toThrow("expected a finite one, found NaN");
  });
});

describe("manifest", () => {
  test("of an artifact that is not there is ArtifactMissing", async () => {
    const { artifacts } = await published();
    const digest = sha256("nothing");
    await expect(artifacts.manifest({ kind: "report", digest })).rejects.toMatchObject({
      code: "ArtifactMissing",
      retryable: false,
      message: `artifact ${digest.slice(0, 12)}: expected a manifest in the store, found none. Run the pipeline again to rebuild it.`,
      details: { digest, what: "a manifest" },
    });
  });

  test("that was altered is ArtifactCorrupt, naming both digests and the place", async () => {
    const { artifacts, ref, manifestPath } = await published();
    const location = await manifestPath();
    await flip(location); // not UTF-8 any more
    const found = sha256(await readFile(location));
    await expect(artifacts.manifest(ref)).rejects.toMatchObject({
      code: "ArtifactCorrupt",
      retryable: false,
      message:
        `artifact ${ref.digest.slice(0, 12)}, file manifest: expected ${ref.digest}, found ${found} (${location}). ` +
        "Delete that file and run the pipeline again.",
      details: { digest: ref.digest, path: "manifest", expected: ref.digest, found, location },
    });
  });
});

describe("file", () => {
  test("is a path with the file's bytes", async () => {
    const { artifacts, ref } = await published();
    expect(await readFile(await artifacts.file(ref, "a/deep.txt"), "utf8")).toBe("first");
    expect(await readFile(await artifacts.file(ref, "empty"), "utf8")).toBe("");
  });

  test("that the artifact does not have is ArtifactMissing, naming it", async () => {
    const { artifacts, ref } = await published();
    await expect(artifacts.file(ref, "c.txt")).rejects.toMatchObject({ code: "ArtifactMissing", details: { digest: ref.digest, what: "file c.txt" } });
  });

  test("whose bytes are gone is ArtifactMissing, naming file and digest", async () => {
    const { artifacts, ref, blobOf } = await published();
    await unlink(await blobOf("b.txt"));
    const what = `file b.txt (${sha256("second")})`;
    await expect(artifacts.file(ref, "b.txt")).rejects.toMatchObject({ code: "ArtifactMissing", details: { digest: ref.digest, what } });
  });

  test("of the wrong size is ArtifactCorrupt", async () => {
    const { artifacts, ref, blobOf } = await published();
    const location = await blobOf("b.txt");
    await truncate(location, 2);
    await expect(artifacts.file(ref, "b.txt")).rejects.toMatchObject({
      code: "ArtifactCorrupt",
      details: { digest: ref.digest, path: "b.txt", expected: "6 bytes", found: "2 bytes", location },
    });
    expect(await artifacts.file(ref, "a/deep.txt")).toBeTypeOf("string"); // the others can still be read
  });

  test("of the right size but other bytes is ArtifactCorrupt where it is to be verified", async () => {
    const { artifacts, ref, blobOf } = await published();
    const location = await blobOf("b.txt");
    expect(await artifacts.file(ref, "b.txt", { verify: true })).toBe(location);
    await unlink(location);
    await writeFile(location, "SECOND");
    expect(await artifacts.file(ref, "b.txt")).toBe(location);
    await expect(artifacts.file(ref, "b.txt", { verify: true })).rejects.toMatchObject({
      code: "ArtifactCorrupt",
      details: { digest: ref.digest, path: "b.txt", expected: sha256("second"), found: sha256("SECOND"), location },
    });
  });
});

describe("materialize", () => {
  test("lays copies of all files out under their names, which may be written to", async () => {
    const { artifacts, ref } = await published();
    const target = join(temporaryFolder(), "new", "folder");
    await artifacts.materialize(ref, target);
    for (const [path, content] of Object.entries(FILES)) expect(await readFile(join(target, path), "utf8")).toBe(content);
    await writeFile(join(target, "b.txt"), "scribbled over");
    expect(await artifacts.verify(ref)).toEqual([]);
  });

  test("takes the place of what stands there, without writing through links", async () => {
    const { artifacts, ref } = await published();
    const target = folderWith({ "elsewhere.txt": "kept" });
    symlinkSync("elsewhere.txt", join(target, "b.txt"));
    await artifacts.materialize(ref, target);
    expect(await readFile(join(target, "elsewhere.txt"), "utf8")).toBe("kept");
    expect(await readFile(join(target, "b.txt"), "utf8")).toBe(FILES["b.txt"]);
  });

  test("of a damaged artifact fails as `file` does", async () => {
    const { artifacts, ref, blobOf } = await published();
    const path = await blobOf("b.txt");
    await writeFile(path, "SECOND"); // of the same size
    await expect(artifacts.materialize(ref, temporaryFolder())).rejects.toMatchObject({ code: "ArtifactCorrupt" });
    await truncate(path, 2);
    await expect(artifacts.materialize(ref, temporaryFolder())).rejects.toMatchObject({ code: "ArtifactCorrupt" });
  });
});

/** Each way in which an artifact can be spoiled: what `damagedSizes` and what `verify` say of it. */
describe("damage", () => {
  type Spoil = (found: Awaited<ReturnType<typeof published>>) => Promise<void>;
  const cases: [string, Spoil, { path: string; expected: string; found: string }[], { path: string; expected: string; found: string }[]][] = [
    ["nothing", async () => {}, [], []],
    [
      "a flipped bit",
      async ({ blobOf }) => flip(await blobOf("b.txt"), 5),
      [], // not seen by size
      [{ path: "b.txt", expected: sha256("second"), found: sha256(Buffer.from([...Buffer.from("secon"), 0x64 ^ 0x80])) }],
    ],
    [
      "a truncated file",
      async ({ blobOf }) => truncate(await blobOf("a/deep.txt"), 4),
      [{ path: "a/deep.txt", expected: "5 bytes", found: "4 bytes" }],
      [{ path: "a/deep.txt", expected: "5 bytes", found: "4 bytes" }],
    ],
    [
      "a deleted file",
      async ({ blobOf }) => unlink(await blobOf("empty")),
      [{ path: "empty", expected: "0 bytes", found: "no file" }],
      [{ path: "empty", expected: "0 bytes", found: "no file" }],
    ],
    [
      "several files",
      async ({ blobOf }) => {
        await unlink(await blobOf("a/deep.txt"));
        await writeFile(await blobOf("b.txt"), "second and more");
      },
      [
        { path: "a/deep.txt", expected: "5 bytes", found: "no file" },
        { path: "b.txt", expected: "6 bytes", found: "15 bytes" },
      ],
      [
        { path: "a/deep.txt", expected: "5 bytes", found: "no file" },
        { path: "b.txt", expected: "6 bytes", found: "15 bytes" },
      ],
    ],
  ];

  test.each(cases)("%s is found, with the file, what was expected and found, and where", async (_, spoil, bySize, byHash) => {
    const store = await published();
    const { artifacts, ref, blobs } = store;
    await spoil(store);
    const placed = (damages: (typeof byHash)) =>
      Promise.all(
        damages.map(async (damage) => {
          const digest = sha256(FILES[damage.path as keyof typeof FILES]);
          return { artifact: ref.digest, ...damage, location: (await blobs.locate(digest)) ?? digest };
        }),
      );
    expect(await artifacts.damagedSizes(ref)).toEqual(await placed(bySize));
    expect(await artifacts.verify(ref)).toEqual(await placed(byHash));
  });

  test("to the manifest is found by verify, and an error for damagedSizes", async () => {
    const { artifacts, ref, manifestPath } = await published();
    const location = await manifestPath();
    await flip(location, 3);
    const found = sha256(await readFile(location));
    expect(await artifacts.verify(ref)).toEqual([{ artifact: ref.digest, path: "manifest", expected: ref.digest, found, location }]);
    await expect(artifacts.damagedSizes(ref)).rejects.toMatchObject({ code: "ArtifactCorrupt" });
  });

  test("by the loss of the manifest is found by verify, and an error for damagedSizes", async () => {
    const { artifacts, ref, manifestPath } = await published();
    await unlink(await manifestPath());
    expect(await artifacts.verify(ref)).toEqual([{ artifact: ref.digest, path: "manifest", expected: ref.digest, found: "no file", location: "" }]);
    await expect(artifacts.damagedSizes(ref)).rejects.toMatchObject({ code: "ArtifactMissing" });
  });

  test("that is none, but an error of the disk, is not mistaken for one", async () => {
    const { artifacts, ref, manifestPath } = await published();
    const location = await manifestPath();
    await unlink(location);
    await mkdir(location);
    await expect(artifacts.verify(ref)).rejects.toMatchObject({ code: "EISDIR" });
  });

  test("is healed by publishing the same folder again", async () => {
    const { artifacts, ref, blobOf, manifestPath } = await published();
    await flip(await manifestPath(), 1);
    await flip(await blobOf("b.txt"));
    await unlink(await blobOf("a/deep.txt"));
    expect(await artifacts.publish("documents", folderWith(FILES), { documents: 2 })).toEqual<ArtifactRef>(ref);
    expect(await artifacts.verify(ref)).toEqual([]);
  });
});
