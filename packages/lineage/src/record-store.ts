import { randomUUID } from "node:crypto";
import { link, mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { listFolder, syncFile } from "./blob-store.ts";
import { RecordCorrupt, refuseFullDisk } from "./errors.ts";
import { canonicalJson, type JsonValue } from "./json.ts";

/** Small immutable JSON documents: `<root>/<folder>/<name>.json`, each written once. */
export class RecordStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Writes a record unless one stands under that name; tells whether it did. */
  async putIfAbsent(folder: string, name: string, value: unknown): Promise<boolean> {
    const path = join(this.#root, folder, `${name}.json`);
    const temporary = join(this.#root, folder, `.${randomUUID()}`);
    return refuseFullDisk(this.#root, async () => {
      await mkdir(dirname(path), { recursive: true });
      try {
        await writeFile(temporary, canonicalJson(JSON.parse(JSON.stringify(value)) as JsonValue));
        await syncFile(temporary);
        await link(temporary, path);
        await syncFile(dirname(path));
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
        throw error;
      } finally {
        await rm(temporary, { force: true });
      }
    });
  }

  /** @throws RecordCorrupt */
  async get<T>(folder: string, name: string): Promise<T | undefined> {
    const path = join(this.#root, folder, `${name}.json`);
    try {
      return JSON.parse(await readFile(path, "utf8")) as T;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      if (error instanceof SyntaxError) throw new RecordCorrupt(path, error);
      throw error;
    }
  }

  /** Marks a record as used now. */
  async touch(folder: string, name: string): Promise<void> {
    const time = new Date();
    await utimes(join(this.#root, folder, `${name}.json`), time, time).catch(() => {}); // removed meanwhile
  }

  /** When a record was written or last marked, in milliseconds; undefined when there is none. */
  async usedAt(folder: string, name: string): Promise<number | undefined> {
    return stat(join(this.#root, folder, `${name}.json`)).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    );
  }

  /** For records that only save time; no other is ever taken away. */
  async remove(folder: string, name: string): Promise<void> {
    await rm(join(this.#root, folder, `${name}.json`), { force: true });
  }

  /** Names of the records in a folder, sorted. */
  async names(folder: string): Promise<string[]> {
    const entries = await listFolder(join(this.#root, folder));
    return entries.filter((name) => name.endsWith(".json") && !name.startsWith(".")).map((name) => name.slice(0, -".json".length));
  }

  /** Folders below the root, sorted. */
  async folders(): Promise<string[]> {
    return listFolder(this.#root);
  }
}
