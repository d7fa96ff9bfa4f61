import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { refuseFullDisk } from "./errors.ts";

/** Immutable bytes under their sha256. */
export interface BlobStore {
  /**
   * Stores a file's bytes unless they are there; returns their digest and size. The file stays where it is. Bytes that
   * stand under the digest and are damaged are replaced.
   */
  putFile(path: string): Promise<{ sha256: string; bytes: number }>;
  putBytes(content: Uint8Array): Promise<{ sha256: string; bytes: number }>;
  /** A local, read-only path of the bytes, or undefined. */
  locate(digest: string): Promise<string | undefined>;
  /** Size in bytes, or undefined. */
  stat(digest: string): Promise<number | undefined>;
  list(): AsyncIterable<string>;
  remove(digest: string): Promise<void>;
}

/** Blobs as files: `<root>/ab/<digest>`. A name appears only once its bytes are complete and on disk. */
export class FileBlobStore implements BlobStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async putFile(path: string): Promise<{ sha256: string; bytes: number }> {
    return this.#put((sink) => pipeline(createReadStream(path), sink.hash, createWriteStream(sink.path)));
  }

  async putBytes(content: Uint8Array): Promise<{ sha256: string; bytes: number }> {
    return this.#put((sink) => pipeline([content], sink.hash, createWriteStream(sink.path)));
  }

  async locate(digest: string): Promise<string | undefined> {
    return (await this.stat(digest)) === undefined ? undefined : this.#pathOf(digest);
  }

  async stat(digest: string): Promise<number | undefined> {
    try {
      return (await stat(this.#pathOf(digest))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  async *list(): AsyncIterable<string> {
    for (const folder of await listFolder(this.#root)) {
      if (folder.length !== 2) continue;
      for (const digest of await listFolder(join(this.#root, folder))) yield digest;
    }
  }

  async remove(digest: string): Promise<void> {
    await rm(this.#pathOf(digest), { force: true });
  }

  #pathOf(digest: string): string {
    return join(this.#root, digest.slice(0, 2), digest);
  }

  async #put(write: (sink: { hash: Transform; path: string }) => Promise<void>): Promise<{ sha256: string; bytes: number }> {
    const incoming = join(this.#root, "incoming");
    const temporary = join(incoming, randomUUID());
    return refuseFullDisk(this.#root, async () => {
      await mkdir(incoming, { recursive: true });
      try {
        const hash = createHash("sha256");
        let bytes = 0;
        const tap = new Transform({
          transform(chunk: Buffer, _encoding, done) {
            hash.update(chunk);
            bytes += chunk.length;
            done(null, chunk);
          },
        });
        await write({ hash: tap, path: temporary });
        await syncFile(temporary);
        const digest = hash.digest("hex");
        await this.#publish(temporary, digest);
        return { sha256: digest, bytes };
      } finally {
        await rm(temporary, { force: true });
      }
    });
  }

  /** Gives the complete file its name. Two writers may do so at once: what they write is equal. */
  async #publish(temporary: string, digest: string): Promise<void> {
    const path = this.#pathOf(digest);
    await mkdir(dirname(path), { recursive: true });
    if ((await this.stat(digest)) !== undefined && (await hashFile(path)) === digest) return;
    await rename(temporary, path);
    await syncFile(dirname(path));
  }
}

export async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
