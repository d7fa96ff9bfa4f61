import { isUtf8 } from "node:buffer";
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { FormatError } from "./errors.ts";
import { parseMetrics, type MetricsLine } from "./metrics.ts";

/** Absolute path of a file of a checkpoint, by its name in there; may throw `ENOENT` or `ArtifactMissing`. */
export type FileOf = (name: string) => Promise<string>;

/** A file of a checkpoint. In a store its path is a digest, which says nothing to a reader. */
export interface CheckpointFile {
  readonly path: string;
  /** For messages: the path, with the file's name in the checkpoint unless the path ends in that. */
  readonly shownAs: string;
}

/**
 * A file of a checkpoint, or undefined when it has none of that name. Links are followed, as Hugging Face's cache has them.
 *
 * @throws FormatError `CheckpointCorrupt` when something else has that name: a pipe would be waited for without an end
 */
export async function findCheckpointFile(fileOf: FileOf, name: string): Promise<CheckpointFile | undefined> {
  try {
    const path = await fileOf(name);
    const shownAs = path.endsWith(name) ? path : `${name} (${path})`;
    const found = await stat(path);
    if (!found.isFile()) throw new FormatError("CheckpointCorrupt", shownAs, `expected a file, found a ${found.isDirectory() ? "directory" : "device"}`, FIX);
    return { path, shownAs };
  } catch (error) {
    if (LEADS_NOWHERE.includes((error as { code?: string }).code ?? "")) return undefined;
    throw error;
  }
}

const LEADS_NOWHERE = ["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "ArtifactMissing"];

/** @throws FormatError `CheckpointCorrupt`, or ArtifactMissing of a store, when there is none of that name */
export async function requireCheckpointFile(fileOf: FileOf, name: string): Promise<CheckpointFile> {
  const found = await findCheckpointFile(fileOf, name);
  if (found !== undefined) return found;
  throw new FormatError("CheckpointCorrupt", await fileOf(name), "expected a file, found none", FIX);
}

/** @throws FormatError `CheckpointCorrupt` naming the file */
export async function readCheckpointJson(fileOf: FileOf, name: string): Promise<Record<string, unknown>> {
  const { path, shownAs } = await requireCheckpointFile(fileOf, name);
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof z.ZodError)) throw error;
    const found = error instanceof SyntaxError ? error.message : z.prettifyError(error);
    throw new FormatError("CheckpointCorrupt", shownAs, `expected a JSON object, found ${found}`, FIX);
  }
}

/** @throws FormatError `CheckpointCorrupt` naming the file, when it is not there or no UTF-8 */
export async function readCheckpointText(fileOf: FileOf, name: string): Promise<string> {
  return textOf(await requireCheckpointFile(fileOf, name));
}

/** As `readCheckpointText`; undefined when there is none of that name. */
export async function findCheckpointText(fileOf: FileOf, name: string): Promise<string | undefined> {
  const file = await findCheckpointFile(fileOf, name);
  return file === undefined ? undefined : textOf(file);
}

/** Read leniently, a damaged token would be another one. */
async function textOf({ path, shownAs }: CheckpointFile): Promise<string> {
  const bytes = await readFile(path);
  if (isUtf8(bytes)) return bytes.toString("utf8");
  throw new FormatError("CheckpointCorrupt", shownAs, "expected text in UTF-8, found other bytes", FIX);
}

/** @throws FormatError `CheckpointCorrupt` or `MetricsCorrupt` naming the file and line */
export async function readCheckpointMetrics(fileOf: FileOf): Promise<MetricsLine[]> {
  const { path, shownAs } = await requireCheckpointFile(fileOf, "metrics.jsonl");
  return parseMetrics(await readFile(path, "utf8"), shownAs);
}

const FIX = "Use another checkpoint";
