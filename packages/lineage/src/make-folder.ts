import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DiskFull, FolderUnusable, isDiskFull } from "./errors.ts";

/**
 * Makes a folder that a person named, and those above it, unless it is there.
 *
 * Node's recursive mkdir never returns under /proc, where making a folder in one that is there is answered by ENOENT.
 *
 * @throws FolderUnusable, DiskFull
 */
export function makeFolder(path: string): void {
  try {
    makeWithParents(resolve(path));
  } catch (error) {
    throw isDiskFull(error) ? new DiskFull(path, error) : new FolderUnusable(path, error);
  }
}

function makeWithParents(path: string): void {
  if (isFolder(path)) return;
  makeWithParents(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!isFolder(path)) throw error; // another process may have made it just now
  }
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
