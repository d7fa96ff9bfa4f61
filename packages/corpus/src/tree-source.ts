import { readFile, readdir } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import { SourceDrift, SourceMissing } from "./errors.ts";
import type { SourceFile } from "./source-file.ts";

/** Files below a directory, in order of their paths. Links are not followed: a tree is what lies in it. */
export async function readTree(card: string, directory: string, expected: { license: string; sha256?: string | undefined }): Promise<SourceFile[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new SourceMissing(card, `a directory at ${directory}, found ${error.code}`, "Fetch the source or correct `origin.path` in the card.");
  });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files: SourceFile[] = [];
  for (const path of paths.sort()) {
    files.push({ path: relative(directory, path).split(sep).join("/"), bytes: await readFile(path), license: expected.license });
  }
  const found = treeDigest(files);
  if (expected.sha256 !== undefined && found !== expected.sha256) throw new SourceDrift(card, directory, `tree ${expected.sha256}`, found);
  return files;
}

/** sha256 over `<sha256>  <path>` lines in order of path: what `sha256sum` of the files would print. */
export function treeDigest(files: readonly Pick<SourceFile, "path" | "bytes">[]): string {
  return sha256(files.map(({ path, bytes }) => `${sha256(bytes)}  ${path}\n`).join(""));
}
