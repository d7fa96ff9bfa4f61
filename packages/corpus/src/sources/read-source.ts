import { resolve } from "node:path";
import type { DataCard } from "../data-card.ts";
import { CardCheck } from "../waivers.ts";
import { generateFiles } from "./generated-source.ts";
import { listGit } from "./git-source.ts";
import type { FileRecord } from "./read-slice.ts";
import type { SourceEntry } from "./source-file.ts";
import { listTable, unpinnedDigest } from "./table-source.ts";
import { TreeDigest, listTree, treeDigest } from "./tree-source.ts";
import { listWheels } from "./wheel-source.ts";

/**
 * Files of a source in order of their paths (of tables: of their rows), in slices that depend on nothing but the source.
 * Nothing is read before it is asked for; a slice is to be read before the next one is taken.
 *
 * @param check left out: what the card pins is not compared, as where only some of the slices are read
 * @throws SourceMissing, SourceCorrupt, SourceDrift
 */
export async function* slicesOf(card: DataCard, check?: CardCheck): AsyncGenerator<readonly SourceEntry[]> {
  let [slice, heldBytes] = [[] as SourceEntry[], 0];
  for await (const entry of entriesOf(card, check)) {
    slice.push(entry);
    heldBytes += entry.heldBytes;
    if (slice.length < FILES_PER_SLICE && heldBytes < HELD_BYTES_PER_SLICE) continue;
    yield slice;
    [slice, heldBytes] = [[], 0];
  }
  if (slice.length > 0) yield slice;
}

/** A slice is what is done again when its process dies: some seconds of work. */
const FILES_PER_SLICE = 256;
const HELD_BYTES_PER_SLICE = 1 << 24;

function entriesOf(card: DataCard, check: CardCheck | undefined): AsyncIterable<SourceEntry> | Iterable<SourceEntry> {
  const { id, origin, directory, largestFileBytes } = card;
  switch (origin.kind) {
    case "wheels":
      return listWheels(id, origin.wheels, largestFileBytes);
    case "tree":
      return listTree({ ...treeOptions(card, origin), largestFileBytes });
    case "git":
      return listGit({ ...origin, card: id, repository: origin.url ?? resolve(directory, origin.path!), largestFileBytes });
    case "table":
      return listTable(card, origin, check);
    case "generated-tasks":
      return generateFiles(origin).sort((a, b) => (a.path < b.path ? -1 : 1)).map((file) => ({ heldBytes: file.bytes.length, load: () => file }));
  }
}

/** What of a whole source its card makes claims about. */
export class SourceTotals {
  #files = 0;
  #bytes = 0;
  readonly #tree = new TreeDigest();

  /** A file that is too large to be read counts all the same; what was no file, could not be read or has another's place does not. */
  add({ path, inTree, role, sizeBytes, sha256, reason }: FileRecord, isPlaceFree: boolean): void {
    this.#tree.add({ path, sha256: inTree });
    if (role !== "included" || !isPlaceFree || (sha256 === undefined && reason !== "too-large")) return;
    this.#files++;
    this.#bytes += sizeBytes;
  }

  /** Of a tree: its identity as these files have it, see `identityOf`. */
  identity(card: DataCard): string {
    return `${card.sha256} ${this.#tree.hex}`;
  }

  /** @throws SourceDrift when they are not what the card describes */
  check({ id, origin, counts }: DataCard, check: CardCheck): void {
    if (origin.kind === "tree" && origin.sha256 !== undefined) check.expect(id, "tree", `sha256 ${origin.sha256}`, `sha256 ${this.#tree.hex}`);
    if (counts !== undefined) check.expect(id, "included files", describe(counts), describe({ files: this.#files, bytes: this.#bytes }));
  }
}

const describe = ({ files, bytes }: { files: number; bytes: number }) => `${files} files of ${bytes} bytes`;

/** What the stage key takes of a source: its card, and the content of what the card does not pin or a waiver lets differ. */
export async function identityOf(card: DataCard, check = new CardCheck()): Promise<string> {
  const { origin, directory, largestFileBytes } = card;
  if (origin.kind === "table") {
    const digests = await Promise.all(origin.files.filter((file) => "path" in file).map((file) => unpinnedDigest(directory, file)));
    return [card.sha256, ...digests].join(" ");
  }
  if (origin.kind !== "tree") return card.sha256;
  return `${card.sha256} ${await treeDigest({ ...treeOptions(card, origin), largestFileBytes, check })}`;
}

const treeOptions = ({ id, directory }: DataCard, origin: { path: string; license: string; sha256?: string | undefined }) => ({ ...origin, card: id, directory: resolve(directory, origin.path) });
