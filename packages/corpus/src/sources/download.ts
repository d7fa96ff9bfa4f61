import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { cacheDirectory, hashFile, isDiskFull, makeFolder, refuseFullDisk } from "@diffucoder/lineage";
import { SourceDrift, SourceMissing } from "../errors.ts";
import { fetchAlone } from "./fetch-alone.ts";

/**
 * A remote file pinned by digest, fetched once into the cache. A transfer that broke off goes on where it stopped, where
 * the server allows it; the file gets its name only when its digest is right.
 *
 * @returns its path in the cache
 * @throws SourceMissing (a retry may help), SourceDrift
 */
export async function fetchPinned(card: string, url: string, sha256: string): Promise<string> {
  const directory = join(cacheDirectory(), "downloads");
  const path = join(directory, sha256);
  if ((await sizeOf(path)) !== undefined) return path;
  makeFolder(directory);
  return fetchAlone(path, () => fetchPart(card, url, sha256, path));
}

async function fetchPart(card: string, url: string, sha256: string, path: string): Promise<string> {
  if ((await sizeOf(path)) !== undefined) return path; // by another process meanwhile
  const part = `${path}.part`;
  await refuseFullDisk(part, () => transfer(card, url, part));
  const found = await hashFile(part);
  if (found !== sha256) {
    await rm(part);
    throw new SourceDrift(card, url, `sha256 ${sha256}`, found);
  }
  await rename(part, path);
  return path;
}

async function transfer(card: string, url: string, part: string): Promise<void> {
  const begun = (await sizeOf(part)) ?? 0;
  const missing = (problem: string) => new SourceMissing(card, `a file at ${url}, found ${problem}`, "Check the network and the card, then `diffucoder retry`.", { retryable: true });
  try {
    const response = await fetch(url, { headers: begun > 0 ? { range: `bytes=${begun}-` } : {} });
    const isWhole = response.status === 416; // nothing is left to send
    if (isWhole) return await response.body?.cancel();
    if (!response.ok || response.body === null) throw missing(`status ${response.status}`);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(part, { flags: response.status === 206 ? "a" : "w" }));
  } catch (error) {
    if (error instanceof SourceMissing || isDiskFull(error)) throw error;
    throw missing(String((error as Error).cause ?? error));
  }
}

const sizeOf = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
