import { matchesGlob, resolve } from "node:path";
import type { DataCard } from "../data-card.ts";
import { CardCheck } from "../waivers.ts";
import { generateFiles } from "./generated-source.ts";
import { readGit } from "./git-source.ts";
import type { SourceFile } from "./source-file.ts";
import { readTable, unpinnedDigest } from "./table-source.ts";
import { readTree, treeDigest } from "./tree-source.ts";
import { readWheels } from "./wheel-source.ts";

/** A file of a source, and whether it is of those that the card asks for or only tells their licence. */
export interface ReadFile {
  readonly file: SourceFile;
  readonly isIncluded: boolean;
}

/**
 * Files of a source that its card includes, and licence files, one at a time, in order of their paths (of tables: of
 * their rows). The card's digests and counts are compared on the way, the counts after the last file.
 *
 * @throws SourceMissing, SourceCorrupt; SourceDrift when they are not what the card describes
 */
export async function* readSource(card: DataCard, check = new CardCheck()): AsyncGenerator<ReadFile> {
  const found = { files: 0, bytes: 0 };
  for await (const file of readOrigin(card, check)) {
    const isIncluded = card.include.some((glob) => matchesGlob(file.path, glob));
    if (!isIncluded && !isLicenseFile(file.path)) continue;
    if (isIncluded) countIn(found, file);
    yield { file, isIncluded };
  }
  if (card.counts !== undefined) check.expect(card.id, "included files", describe(card.counts), describe(found));
}

/** A file that is too large to be read is there all the same; what was no file, or could not be read, is not. */
function countIn(found: { files: number; bytes: number }, { bytes }: SourceFile): void {
  if (bytes instanceof Uint8Array) {
    found.files++;
    found.bytes += bytes.length;
  } else if (bytes.reason === "too-large") {
    found.files++;
    found.bytes += bytes.sizeBytes;
  }
}

const describe = ({ files, bytes }: { files: number; bytes: number }) => `${files} files of ${bytes} bytes`;

/** Files that say under which licence those beside and below them are. */
export const isLicenseFile = (path: string): boolean => /(^|\/)(LICEN[CS]E|COPYING|UNLICENSE)([-._][^/]*)?$/i.test(path);

function readOrigin(card: DataCard, check: CardCheck): AsyncIterable<SourceFile> | Iterable<SourceFile> {
  const { id, origin, directory, largestFileBytes } = card;
  switch (origin.kind) {
    case "wheels":
      return readWheels(id, origin.wheels, largestFileBytes);
    case "tree":
      return readTree(treeOptions(card, origin, check));
    case "git":
      return readGit({ ...origin, card: id, repository: origin.url ?? resolve(directory, origin.path!), largestFileBytes });
    case "table":
      return readTable(card, origin, check);
    case "generated-tasks":
      return generateFiles(origin).sort((a, b) => (a.path < b.path ? -1 : 1));
  }
}

/** What the stage key takes of a source: its card, and the content of what the card does not pin or a waiver lets differ. */
export async function identityOf(card: DataCard, check = new CardCheck()): Promise<string> {
  const { origin, directory } = card;
  if (origin.kind === "table") {
    const digests = await Promise.all(origin.files.filter((file) => "path" in file).map((file) => unpinnedDigest(directory, file)));
    return [card.sha256, ...digests].join(" ");
  }
  if (origin.kind !== "tree") return card.sha256;
  return `${card.sha256} ${await treeDigest(treeOptions(card, origin, check))}`;
}

const treeOptions = ({ id, directory, largestFileBytes }: DataCard, origin: { path: string; license: string; sha256?: string | undefined }, check: CardCheck) => ({
  ...origin,
  card: id,
  directory: resolve(directory, origin.path),
  largestFileBytes,
  check,
});
