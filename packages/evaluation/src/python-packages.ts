import { readdir } from "node:fs/promises";
import { sha256 } from "@diffucoder/lineage";
import { PackagesMissing } from "./errors.ts";

/**
 * Digest of what a folder of `pip install --target` holds: names and versions, by the records that pip leaves beside the packages.
 *
 * @throws PackagesMissing
 */
export async function packagesDigest(folder: string): Promise<string> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new PackagesMissing(folder, String(error.code));
  });
  const records = entries.filter((name) => /\.(dist|egg)-info$/.test(name)).sort();
  if (records.length === 0) throw new PackagesMissing(folder, "no record of one");
  return sha256(records.join("\n"));
}
