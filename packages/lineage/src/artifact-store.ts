import { copyFile, mkdir, readFile, readdir, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { hashFile, type BlobStore } from "./blob-store.ts";
import { ArtifactCorrupt, ArtifactMissing } from "./errors.ts";
import { canonicalJson, sha256, type JsonObject, type JsonValue } from "./json.ts";

export type ArtifactKind = "documents" | "shards" | "checkpoint" | "report";

/** Names an artifact for good: the digest covers the manifest, which covers every file. */
export interface ArtifactRef {
  readonly kind: ArtifactKind;
  /** sha256 of the canonical manifest. */
  readonly digest: string;
}

export interface ArtifactFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface ArtifactManifest {
  readonly version: 1;
  readonly kind: ArtifactKind;
  /** Sorted by path. */
  readonly files: readonly ArtifactFile[];
  /** What a reader wants to know without opening a file. */
  readonly meta: JsonObject;
}

/** One file that is not what its manifest says. */
export interface DamagedFile {
  readonly artifact: string;
  readonly path: string;
  readonly expected: string;
  readonly found: string;
  readonly location: string;
}

/** Immutable directories: files as blobs, tied together by a manifest that is written last. */
export class ArtifactStore {
  readonly #blobs: BlobStore;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /**
   * Stores a finished directory. Until the manifest is written there is no artifact.
   *
   * @throws DiskFull when the store cannot hold it; TypeError for what is neither file nor directory
   */
  async publish(kind: ArtifactKind, directory: string, meta: JsonObject): Promise<ArtifactRef> {
    const files: ArtifactFile[] = [];
    for (const path of await filesBelow(directory)) {
      files.push({ path, ...(await this.#blobs.putFile(join(directory, path))) });
    }
    const manifest: ArtifactManifest = { version: 1, kind, files, meta };
    const { sha256: digest } = await this.#blobs.putBytes(Buffer.from(canonicalJson(manifest as unknown as JsonValue)));
    return { kind, digest };
  }

  /** @throws ArtifactMissing, ArtifactCorrupt */
  async manifest(ref: ArtifactRef): Promise<ArtifactManifest> {
    const location = await this.#blobs.locate(ref.digest);
    if (location === undefined) throw new ArtifactMissing(ref.digest, "a manifest");
    const content = await readFile(location);
    const found = sha256(content);
    if (found !== ref.digest) {
      throw new ArtifactCorrupt({ digest: ref.digest, path: "manifest", expected: ref.digest, found, location });
    }
    return JSON.parse(content.toString()) as ArtifactManifest;
  }

  /**
   * Local path of one file of an artifact, to be read only; its size is checked.
   *
   * @param options `verify` also hashes it: a flipped bit does not change a size
   * @throws ArtifactMissing, ArtifactCorrupt
   */
  async file(ref: ArtifactRef, path: string, { verify = false } = {}): Promise<string> {
    const entry = (await this.manifest(ref)).files.find((file) => file.path === path);
    if (entry === undefined) throw new ArtifactMissing(ref.digest, `file ${path}`);
    const damage = (await this.#sizeDamage(ref.digest, entry)) ?? (verify ? await this.#contentDamage(ref.digest, entry) : undefined);
    if (damage === undefined) return (await this.#blobs.locate(entry.sha256))!;
    throw damage.found === "no file"
      ? new ArtifactMissing(ref.digest, `file ${path} (${entry.sha256})`)
      : new ArtifactCorrupt({ digest: ref.digest, ...damage });
  }

  /**
   * Copies the files out under their names: copies, not links, so that what is done to them does not reach the store. Each is hashed,
   * since nobody will find out about it later.
   *
   * @throws ArtifactMissing, ArtifactCorrupt
   */
  async materialize(ref: ArtifactRef, directory: string): Promise<void> {
    for (const { path } of (await this.manifest(ref)).files) {
      const target = join(directory, path);
      await mkdir(dirname(target), { recursive: true });
      // What stands there may be a link to something that is not to be written to.
      await rm(target, { force: true });
      await copyFile(await this.file(ref, path, { verify: true }), target);
    }
  }

  /** Files whose size is wrong or that are gone; quick enough for every cache hit. */
  async damagedSizes(ref: ArtifactRef): Promise<DamagedFile[]> {
    const { files } = await this.manifest(ref);
    const damages = await Promise.all(files.map((file) => this.#sizeDamage(ref.digest, file)));
    return damages.filter((damage) => damage !== undefined);
  }

  /** Re-hashes every file and the manifest; names each one that is damaged or gone. */
  async verify(ref: ArtifactRef): Promise<DamagedFile[]> {
    let manifest: ArtifactManifest;
    try {
      manifest = await this.manifest(ref);
    } catch (error) {
      if (!(error instanceof ArtifactCorrupt) && !(error instanceof ArtifactMissing)) throw error;
      const { expected, found, location } = error.details as Record<string, string | undefined>;
      return [
        { artifact: ref.digest, path: "manifest", expected: expected ?? ref.digest, found: found ?? "no file", location: location ?? "" },
      ];
    }
    const damaged: DamagedFile[] = [];
    for (const file of manifest.files) {
      const damage = (await this.#sizeDamage(ref.digest, file)) ?? (await this.#contentDamage(ref.digest, file));
      if (damage !== undefined) damaged.push(damage);
    }
    return damaged;
  }

  async #sizeDamage(artifact: string, file: ArtifactFile): Promise<DamagedFile | undefined> {
    const bytes = await this.#blobs.stat(file.sha256);
    if (bytes === file.bytes) return undefined;
    const found = bytes === undefined ? "no file" : `${bytes} bytes`;
    const location = (await this.#blobs.locate(file.sha256)) ?? file.sha256;
    return { artifact, path: file.path, expected: `${file.bytes} bytes`, found, location };
  }

  async #contentDamage(artifact: string, file: ArtifactFile): Promise<DamagedFile | undefined> {
    const location = (await this.#blobs.locate(file.sha256))!;
    const found = await hashFile(location);
    return found === file.sha256 ? undefined : { artifact, path: file.path, expected: file.sha256, found, location };
  }
}

/** Relative paths of all files below a directory, sorted, with forward slashes. */
async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const pathOf = (entry: (typeof entries)[number]) => relative(directory, join(entry.parentPath, entry.name)).split(sep).join("/");
  const odd = entries.find((entry) => !entry.isFile() && !entry.isDirectory());
  if (odd !== undefined) throw new TypeError(`${join(directory, pathOf(odd))}: expected a file or directory, found a link or device`);
  return entries.filter((entry) => entry.isFile()).map(pathOf).sort();
}
