import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { hashFile, sha256 } from "@diffucoder/lineage";
import { SourceMissing } from "../errors.ts";
import type { CardCheck } from "../waivers.ts";
import type { SourceFile, UnreadReason } from "./source-file.ts";

export interface TreeOptions {
  readonly card: string;
  readonly directory: string;
  readonly license: string;
  /** Digest of the tree; any content is accepted without it. */
  readonly sha256?: string | undefined;
  readonly largestFileBytes: number;
  readonly check: CardCheck;
}

/**
 * Files below a directory, in order of their paths, one in memory at a time. Links are told and not followed: a tree is
 * what lies in it. After the last file the digest is compared.
 *
 * @returns the digest: sha256 over `<sha256>  <path>` lines, what `sha256sum` of the files would print
 * @throws SourceMissing, SourceDrift
 */
export async function* readTree({ card, directory, license, sha256: expected, largestFileBytes, check }: TreeOptions): AsyncGenerator<SourceFile, string> {
  const digest = createHash("sha256");
  const entries = await list(directory).catch((error: NodeJS.ErrnoException) => {
    throw new SourceMissing(card, `a directory at ${directory}, found ${error.code}`, "Fetch the source or correct `origin.path` in the card.");
  });
  for await (const { path, entry } of walk(directory, entries)) {
    if (!entry.isFile()) {
      const reason: UnreadReason = entry.isSymbolicLink() ? "link" : entry.isDirectory() ? "unreadable" : "not-a-file";
      yield { path, bytes: { reason, sizeBytes: 0 }, license };
      continue;
    }
    const { sha256: found, bytes } = await readUpTo(join(directory, path), largestFileBytes);
    digest.update(`${found}  ${path}\n`);
    yield { path, bytes, license };
  }
  const found = digest.digest("hex");
  if (expected !== undefined) check.expect(card, "tree", `sha256 ${expected}`, `sha256 ${found}`);
  return found;
}

/** A file's bytes and digest; the bytes stay on the disk when they are too many. */
async function readUpTo(path: string, largestBytes: number): Promise<{ sha256: string; bytes: SourceFile["bytes"] }> {
  try {
    const { size } = await stat(path);
    if (size > largestBytes) return { sha256: await hashFile(path), bytes: { reason: "too-large", sizeBytes: size } };
    const bytes = await readFile(path);
    return { sha256: sha256(bytes), bytes };
  } catch {
    return { sha256: "unreadable", bytes: { reason: "unreadable", sizeBytes: 0 } };
  }
}

/** What is not a directory, and directories that cannot be listed, in order of their paths. */
async function* walk(root: string, entries: readonly Dirent[], below = ""): AsyncGenerator<{ path: string; entry: Dirent }> {
  // With its slash a directory sorts to where the paths below it do.
  const named = entries.map((entry) => ({ entry, key: entry.isDirectory() ? `${entry.name}/` : entry.name }));
  for (const { entry } of named.sort((a, b) => (a.key < b.key ? -1 : 1))) {
    const path = below + entry.name;
    const inside = entry.isDirectory() ? await list(join(root, path)).catch(() => undefined) : undefined;
    if (inside === undefined) yield { path, entry };
    else yield* walk(root, inside, `${path}/`);
  }
}

const list = (directory: string): Promise<Dirent[]> => readdir(directory, { withFileTypes: true });

export async function treeDigest(options: TreeOptions): Promise<string> {
  const files = readTree(options);
  for (;;) {
    const next = await files.next();
    if (next.done === true) return next.value;
  }
}
