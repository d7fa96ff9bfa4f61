import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import { zipSync } from "fflate";
import { vi } from "vitest";
import type { Wheel } from "../src/sources/wheel-source.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

export interface TinyWheel {
  readonly pin: Wheel;
  readonly content: Uint8Array;
}

/** A wheel that pip accepts; what it says to require is nowhere to be had. */
export function tinyWheel(name: string, files: Readonly<Record<string, string | Uint8Array>>): TinyWheel {
  const stem = `${name.replaceAll("-", "_")}-1.0`;
  const members = {
    ...files,
    [`${stem}.dist-info/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\nRequires-Dist: not-to-be-had\n`,
    [`${stem}.dist-info/WHEEL`]: "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    [`${stem}.dist-info/RECORD`]: "",
  };
  const content = zipSync(Object.fromEntries(Object.entries(members).map(([path, text]) => [path, Buffer.from(text)])), { mtime: "2024-01-01" });
  return { pin: { name, version: "1.0", file: `${stem}-py3-none-any.whl`, sha256: sha256(content), license: "MIT" }, content };
}

/**
 * A cache of the test's own, and a pip that asks no network: it finds what lies in `links`.
 *
 * Ends with the test by `unstubEnvs`, which callers leave to `afterEach`.
 */
export async function offlineCache(options: { readonly cached?: readonly TinyWheel[]; readonly offered?: readonly TinyWheel[] } = {}) {
  const directory = await temporaryDirectory();
  const [cache, links] = [join(directory, "cache"), join(directory, "links")];
  await mkdir(links);
  vi.stubEnv("DIFFUCODER_CACHE", cache);
  vi.stubEnv("PIP_NO_INDEX", "1");
  vi.stubEnv("PIP_FIND_LINKS", links);
  if (options.cached !== undefined) await mkdir(join(cache, "wheels"), { recursive: true });
  for (const { pin, content } of options.cached ?? []) await writeFile(join(cache, "wheels", pin.file), content);
  for (const { pin, content } of options.offered ?? []) await writeFile(join(links, pin.file), content);
  return { wheels: join(cache, "wheels"), links };
}
