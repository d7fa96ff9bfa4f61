import { matchesGlob, resolve } from "node:path";
import type { DataCard } from "./data-card.ts";
import { SourceDrift } from "./errors.ts";
import { generateFiles } from "./generated-source.ts";
import type { SourceFile } from "./source-file.ts";
import { readTree, treeDigest } from "./tree-source.ts";
import { readWheels } from "./wheel-source.ts";

/**
 * Files of a source that its card includes, in order of their paths.
 *
 * @throws SourceMissing; SourceDrift when they are not what the card describes
 */
export async function readSource(card: DataCard): Promise<SourceFile[]> {
  const files = (await readOrigin(card)).filter(({ path }) => card.include.some((glob) => matchesGlob(path, glob)));
  checkCounts(card, files);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function checkCounts({ id, counts }: DataCard, files: readonly SourceFile[]): void {
  if (counts === undefined) return;
  const found = { files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes.length, 0) };
  const describe = ({ files, bytes }: typeof found) => `${files} files of ${bytes} bytes`;
  if (describe(found) !== describe(counts)) throw new SourceDrift(id, "included files", describe(counts), describe(found));
}

function readOrigin({ id, origin, directory }: DataCard): Promise<SourceFile[]> | SourceFile[] {
  switch (origin.kind) {
    case "wheels":
      return readWheels(id, origin.wheels);
    case "tree":
      return readTree(id, resolve(directory, origin.path), origin);
    case "generated-tasks":
      return generateFiles(origin);
  }
}

/** What the stage key takes of a source: the card pins everything but the content of a tree. */
export async function identityOf(card: DataCard): Promise<string> {
  if (card.origin.kind !== "tree") return card.sha256;
  const files = await readTree(card.id, resolve(card.directory, card.origin.path), card.origin);
  return `${card.sha256} ${treeDigest(files)}`;
}
