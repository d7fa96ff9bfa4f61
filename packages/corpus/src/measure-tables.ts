import { copyFile, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory, canonicalJson, codeIdentity, hashFile, sha256 } from "@diffucoder/lineage";
import { tablePath, writeTable } from "./attribute-table.ts";
import type { DocumentPool } from "./document-pool.ts";
import type { InnerStage, Measurement } from "./inner-stage.ts";

/**
 * Writes a stage's table into a folder; from the cache where the same code has measured the same documents with the same
 * settings before.
 *
 * @returns whether it came from the cache
 */
export async function measureTable(stage: InnerStage, measurement: Measurement, pool: DocumentPool, folder: string, options: { readonly isCached: boolean }): Promise<boolean> {
  const path = tablePath(folder, stage.name);
  const columns = { doc_id: "text", ...stage.columns } as const;
  if (!options.isCached) {
    await writeTable(path, columns, measurement.rows(pool));
    return false;
  }
  const { digest: code } = await codeIdentity({ entry: stage.module, ...(stage.assets === undefined ? {} : { assets: stage.assets }) });
  const key = sha256(canonicalJson({ stage: stage.name, code, columns, settings: measurement.settings, documents: pool.digest }));
  const entry = join(cacheDirectory(), "corpus-tables", key);
  if (await copyUndamaged(entry, path)) return true;
  await writeTable(path, columns, measurement.rows(pool));
  await keep(path, entry);
  return false;
}

/** An entry is a folder with one file, which is called by its digest. */
async function copyUndamaged(entry: string, path: string): Promise<boolean> {
  const [name] = await readdir(entry).catch(() => []);
  if (name === undefined) return false;
  await copyFile(join(entry, name), path);
  if ((await hashFile(path)) === name) return true;
  await rm(entry, { recursive: true, force: true });
  return false;
}

/** Visible only when it is whole; of two runs that finish together the first is kept. */
async function keep(path: string, entry: string): Promise<void> {
  const unfinished = `${entry}.${process.pid}`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  await copyFile(path, join(unfinished, await hashFile(path)));
  await rename(unfinished, entry).catch(() => rm(unfinished, { recursive: true, force: true }));
}
