import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sha256, type BlobStore } from "../src/index.ts";
import { temporaryFolder } from "./temporary.ts";

export interface BlobStoreUnderTest {
  readonly store: BlobStore;
  /** Replaces the bytes that lie under a digest, behind the store's back. */
  damage(digest: string, content: Uint8Array): Promise<void>;
}

/** What every blob store promises. `open` makes an empty one. */
export function describeBlobStore(name: string, open: () => Promise<BlobStoreUnderTest>): void {
  const bytes = (text: string) => Buffer.from(text);
  const read = async (store: BlobStore, digest: string) => readFile((await store.locate(digest))!);

  describe(`${name} as a blob store`, () => {
    test("names bytes by their sha256 and tells their size", async () => {
      const { store } = await open();
      // sha256("abc"), from FIPS 180-4's example
      const digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
      expect(await store.putBytes(bytes("abc"))).toEqual({ sha256: digest, bytes: 3 });
      expect(await store.stat(digest)).toBe(3);
      expect(await read(store, digest)).toEqual(bytes("abc"));
    });

    test("gives back any bytes, from memory and from a file, which it leaves where it is", async () => {
      const { store } = await open();
      const path = join(temporaryFolder(), "file");
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (content) => {
          await writeFile(path, content);
          const expected = { sha256: sha256(content), bytes: content.length };
          expect(await store.putFile(path)).toEqual(expected);
          expect(await store.putBytes(content)).toEqual(expected);
          expect(await store.stat(expected.sha256)).toBe(content.length);
          expect(new Uint8Array(await read(store, expected.sha256))).toEqual(content);
          expect(new Uint8Array(await readFile(path))).toEqual(content);
        }),
        { numRuns: 15, examples: [[new Uint8Array(0)]] },
      );
    });

    test("takes a file of several read buffers", async () => {
      const { store } = await open();
      const content = Buffer.alloc(300_000, "0123456789");
      const path = join(temporaryFolder(), "file");
      await writeFile(path, content);
      const digest = sha256(content);
      expect(await store.putFile(path)).toEqual({ sha256: digest, bytes: 300_000 });
      expect((await read(store, digest)).equals(content)).toBe(true);
    });

    test("knows nothing of bytes that were never put", async () => {
      const { store } = await open();
      const digest = sha256("never");
      expect(await store.stat(digest)).toBeUndefined();
      expect(await store.locate(digest)).toBeUndefined();
      await store.remove(digest); // no complaint
      expect(await Array.fromAsync(store.list())).toEqual([]);
    });

    test("lists each digest once, sorted, and forgets removed ones", async () => {
      const { store } = await open();
      const digests: string[] = [];
      for (let i = 0; i < 20; i++) digests.push((await store.putBytes(bytes(`blob ${i}`))).sha256);
      await store.putBytes(bytes("blob 0"));
      expect(await Array.fromAsync(store.list())).toEqual([...digests].sort());
      await store.remove(digests[3]!);
      expect(await store.stat(digests[3]!)).toBeUndefined();
      expect(await Array.fromAsync(store.list())).toEqual(digests.filter((_, i) => i !== 3).sort());
    });

    test.each([
      ["torn", bytes("whole by")],
      ["empty", bytes("")],
      ["altered without a change of size", bytes("whole bytez")],
      ["longer", bytes("whole bytes and more")],
    ])("replaces a %s blob when the bytes are put again", async (_, damaged) => {
      const { store, damage } = await open();
      const { sha256: digest } = await store.putBytes(bytes("whole bytes"));
      await damage(digest, damaged);
      expect(await store.stat(digest)).toBe(damaged.length);
      expect(await store.putBytes(bytes("whole bytes"))).toEqual({ sha256: digest, bytes: 11 });
      expect(await read(store, digest)).toEqual(bytes("whole bytes"));
    });

    test("lets many writers of the same and of other bytes work at once, also over a damaged blob", async () => {
      const { store, damage } = await open();
      const { sha256: torn } = await store.putBytes(bytes("content 0"));
      await damage(torn, bytes("content"));
      const contents = Array.from({ length: 24 }, (_, i) => bytes(`content ${i % 4}`));
      const results = await Promise.all(contents.map((content) => store.putBytes(content)));
      expect(results).toEqual(contents.map((content) => ({ sha256: sha256(content), bytes: content.length })));
      for (const content of contents) expect(await read(store, sha256(content))).toEqual(content);
      expect(await Array.fromAsync(store.list())).toHaveLength(4);
    });

    test("stores nothing of a file that is not there", async () => {
      const { store } = await open();
      await expect(store.putFile(join(temporaryFolder(), "none"))).rejects.toMatchObject({ code: "ENOENT" });
      expect(await Array.fromAsync(store.list())).toEqual([]);
    });
  });
}
