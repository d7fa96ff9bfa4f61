import { execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory, makeFolder, sha256 } from "@diffucoder/lineage";
import { SourceMissing } from "../errors.ts";
import { ByteReader } from "./byte-reader.ts";
import { fetchAlone } from "./fetch-alone.ts";
import type { SourceEntry, UnreadReason } from "./source-file.ts";

export interface GitOptions {
  readonly card: string;
  /** URL or absolute path. */
  readonly repository: string;
  readonly commit: string;
  readonly license: string;
  readonly largestFileBytes: number;
}

/**
 * Files of a repository at a commit, in order of their paths; to be read while the list is at work. The commit is fetched once, alone, into a bare repository
 * of the cache; nothing is checked out, so that no hook, filter or link of the repository has a say.
 *
 * @throws SourceMissing
 */
export async function* listGit(options: GitOptions): AsyncGenerator<SourceEntry> {
  const { license, repository, commit, largestFileBytes } = options;
  const directory = await fetchCommit(options);
  const committedAt = new Date(Number(await git(directory, "show", "--no-patch", "--format=%ct", commit)) * 1000).toISOString();
  const rest = { license, repository, commit, committedAt };
  const entries = parseListing(await git(directory, "ls-tree", "-r", "-l", "-z", "--full-tree", commit));
  const blobs = new BlobReader(directory);
  try {
    for (const { path, kind, object, sizeBytes } of entries.sort((a, b) => (a.path < b.path ? -1 : 1))) {
      const reason: UnreadReason | undefined = kind !== "file" ? kind : sizeBytes > largestFileBytes ? "too-large" : undefined;
      yield { heldBytes: 0, load: async () => ({ ...rest, path, bytes: reason === undefined ? await blobs.read(object) : { reason, sizeBytes } }) };
    }
  } finally {
    blobs.close();
  }
}

async function fetchCommit({ card, repository, commit }: GitOptions): Promise<string> {
  const directory = join(cacheDirectory(), "git", sha256(repository).slice(0, 16));
  makeFolder(directory);
  try {
    await fetchAlone(directory, async () => {
      await git(directory, "init", "--quiet", "--bare");
      const isThere = await git(directory, "cat-file", "-e", `${commit}^{tree}`).then(
        () => true,
        () => false,
      );
      if (!isThere) await git(directory, "fetch", "--quiet", "--no-tags", "--depth=1", "--", repository, commit);
    });
    return directory;
  } catch (error) {
    const reason = (error as { stderr?: string }).stderr?.trim() || String(error);
    throw new SourceMissing(card, `commit ${commit} of ${repository}, found: ${reason}`, "Check the network, git and the card, then `diffucoder retry`.", { retryable: true });
  }
}

/** Settings of the user or the machine, prompts and odd protocols stay out. */
const ENVIRONMENT = { ...process.env, GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", GIT_TERMINAL_PROMPT: "0", GIT_ALLOW_PROTOCOL: "file:git:http:https:ssh" };

async function git(directory: string, ...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)("git", ["-C", directory, ...words], { env: ENVIRONMENT, maxBuffer: 1 << 30 });
  return stdout;
}

/** Lines of `git ls-tree -l -z`: mode, type, object, size, path. */
function parseListing(listing: string) {
  return listing
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => {
      const tab = line.indexOf("\t");
      const [mode, type, object, size] = line.slice(0, tab).split(/ +/) as [string, string, string, string];
      const kind = mode === "120000" ? ("link" as const) : type === "blob" ? ("file" as const) : ("not-a-file" as const);
      return { path: line.slice(tab + 1), kind, object, sizeBytes: size === "-" ? 0 : Number(size) };
    });
}

/** Contents of objects by name, through one `git cat-file --batch`. */
class BlobReader {
  readonly #process;
  readonly #answers: ByteReader;

  constructor(directory: string) {
    this.#process = spawn("git", ["-C", directory, "cat-file", "--batch"], { env: ENVIRONMENT, stdio: ["pipe", "pipe", "ignore"] });
    this.#answers = new ByteReader(this.#process.stdout);
  }

  async read(object: string): Promise<Uint8Array> {
    this.#process.stdin.write(`${object}\n`);
    const [, type, size] = (await this.#answers.line()).toString().split(" ");
    if (type !== "blob") throw new TypeError(`git object ${object}: expected a blob, found ${type}`);
    const bytes = await this.#answers.bytes(Number(size));
    await this.#answers.bytes(1); // a line feed
    return bytes;
  }

  close(): void {
    this.#process.stdin.end();
  }
}
