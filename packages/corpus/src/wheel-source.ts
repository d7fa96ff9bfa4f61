import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory, sha256 } from "@diffucoder/lineage";
import { unzipSync } from "fflate";
import { SourceDrift, SourceMissing } from "./errors.ts";
import type { SourceFile } from "./source-file.ts";

export interface Wheel {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
  readonly license: string;
}

/** Files of wheels pinned by digest. A wheel is fetched once, by pip, into the cache. */
export async function readWheels(card: string, wheels: readonly Wheel[]): Promise<SourceFile[]> {
  const directory = join(cacheDirectory(), "wheels");
  await fetchMissing(card, wheels, directory);
  const files: SourceFile[] = [];
  for (const wheel of wheels) {
    const content = await readFile(join(directory, wheel.file));
    checkDigest(card, wheel, content);
    for (const [path, bytes] of Object.entries(unzipSync(content))) {
      if (path.endsWith("/")) continue;
      files.push({ path: `${wheel.name}-${wheel.version}/${path}`, bytes, license: wheel.license });
    }
  }
  return files;
}

/** The content of one member of a pinned wheel. */
export async function readWheelMember(card: string, wheel: Wheel, member: string): Promise<Uint8Array> {
  const path = `${wheel.name}-${wheel.version}/${member}`;
  const file = (await readWheels(card, [wheel])).find((candidate) => candidate.path === path);
  if (file === undefined) throw new SourceMissing(card, `member ${member} in ${wheel.file}, found none`, "Correct the card.");
  return file.bytes;
}

function checkDigest(card: string, wheel: Wheel, content: Buffer): void {
  const found = sha256(content);
  if (found !== wheel.sha256) throw new SourceDrift(card, wheel.file, `sha256 ${wheel.sha256}`, found);
}

async function fetchMissing(card: string, wheels: readonly Wheel[], directory: string): Promise<void> {
  const missing: Wheel[] = [];
  for (const wheel of wheels) {
    const content = await readFile(join(directory, wheel.file)).catch(() => undefined);
    if (content === undefined || sha256(content) !== wheel.sha256) missing.push(wheel);
  }
  if (missing.length === 0) return;
  await mkdir(directory, { recursive: true });
  const incoming = await mkdtemp(join(directory, ".incoming-"));
  try {
    const requirements = join(incoming, "requirements.txt");
    await writeFile(requirements, missing.map((wheel) => `${wheel.name}==${wheel.version} --hash=sha256:${wheel.sha256}\n`).join(""));
    await download(card, requirements, incoming);
    // Whole and checked by pip: only now visible under its name.
    for (const { file } of missing) await rename(join(incoming, file), join(directory, file));
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
}

async function download(card: string, requirements: string, directory: string): Promise<void> {
  const options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check"];
  try {
    await promisify(execFile)("python3", ["-m", "pip", "download", ...options, "--requirement", requirements, "--dest", directory]);
  } catch (error) {
    const reason = String((error as { stderr?: string }).stderr ?? error).trim().split("\n").slice(-3).join(" ");
    throw new SourceMissing(card, `its wheels from pip, found: ${reason}`, "Check the network or put the wheel files into the cache's wheels folder, then `diffucoder retry`.");
  }
}
