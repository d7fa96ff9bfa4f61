import { createHash } from "node:crypto";
import type { Dirent } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describeSystemError, hashFile, sha256 } from "@diffucoder/lineage";
import { SourceMissing } from "../errors.ts";
import type { CardCheck } from "../waivers.ts";
import type { SourceEntry, SourceFile, UnreadReason } from "./source-file.ts";

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
 * Files below a directory, in order of their paths. Links are told and not followed: a tree is what lies in it.
 *
 * @throws SourceMissing
 */
export async function* listTree({ card, directory, license, largestFileBytes }: Omit<TreeOptions, "sha256" | "check">): AsyncGenerator<SourceEntry> {
  const entries = await list(directory).catch((error: unknown) => {
    throw new SourceMissing(card, `a directory at ${directory}, found ${describeSystemError(error)}`, "Fetch the source or correct `origin.path` in the card.");
  });
  for await (const { path, entry } of walk(directory, entries)) {
    const reason: UnreadReason = entry.isSymbolicLink() ? "link" : entry.isDirectory() ? "unreadable" : "not-a-file";
    yield {
      heldBytes: 0,
      load: async () => ({ path, license, ...(entry.isFile() ? await readUpTo(join(directory, path), largestFileBytes) : { bytes: { reason, sizeBytes: 0 } }) }),
    };
  }
}

/** sha256 over `<sha256>  <path>` lines of a tree's files, what `sha256sum` of them would print. */
export class TreeDigest {
  readonly #hash = createHash("sha256");

  add({ path, sha256: found }: { readonly path: string; readonly sha256?: string | undefined }): void {
    if (found !== undefined) this.#hash.update(`${found}  ${path}\n`);
  }

  get hex(): string {
    return this.#hash.copy().digest("hex");
  }
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

/** @throws SourceMissing; SourceDrift unless it is what the card says or waived */
export async function treeDigest(options: TreeOptions): Promise<string> {
  const { card, sha256: expected, check } = options;
  const digest = new TreeDigest();
  for await (const entry of listTree(options)) digest.add(await entry.load());
  if (expected !== undefined) check.expect(card, "tree", `sha256 ${expected}`, `sha256 ${digest.hex}`);
  return digest.hex;
}
