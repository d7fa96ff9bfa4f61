import { readdir } from "node:fs/promises";
import { describeSystemError, sha256 } from "@diffucoder/lineage";
import { TasksError } from "./errors.ts";

/**
 * Digest of what a folder of `pip install --target` holds: names and versions, by the records that pip leaves beside the packages.
 *
 * @throws TasksError `PackagesMissing`
 */
export async function packagesDigest(folder: string): Promise<string> {
  const entries = await readdir(folder).catch((error: unknown) => {
    throw packagesMissing(folder, describeSystemError(error));
  });
  const records = entries.filter((name) => /\.(dist|egg)-info$/.test(name)).sort();
  if (records.length === 0) throw packagesMissing(folder, "no record of one");
  return sha256(records.join("\n"));
}

function packagesMissing(folder: string, found: string): TasksError {
  return new TasksError("PackagesMissing", `packages ${folder}: expected packages of \`pip install --target\`, found ${found}. Correct packages, or leave it out.`);
}
