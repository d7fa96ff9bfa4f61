import { matchesGlob, resolve } from "node:path";
import type { DataCard } from "./data-card.ts";
import { generateFiles } from "./generated-source.ts";
import type { SourceFile } from "./source-file.ts";
import { readTree, treeDigest } from "./tree-source.ts";
import { readWheels } from "./wheel-source.ts";

/** Files of a source that its card includes, in order of their paths. */
export async function readSource(card: DataCard): Promise<SourceFile[]> {
  const files = (await readOrigin(card)).filter(({ path }) => card.include.some((glob) => matchesGlob(path, glob)));
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
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
