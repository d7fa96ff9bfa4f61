import { existsSync } from "node:fs";
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { StageError, refuseFullDisk } from "./errors.ts";
import { makeFolder } from "./make-folder.ts";

/**
 * Fills a folder whose files appear together, once all are written: a process that dies before leaves none of them, and
 * the next call removes what it left. The folder itself may be there, as a mount point is, if it is empty.
 *
 * @param write gets another folder, on the same disk, to write to
 * @throws FolderTaken, FolderUnusable, DiskFull
 */
export async function writeFolder<T>(folder: string, write: (incoming: string) => Promise<T>): Promise<T> {
  return refuseFullDisk(folder, async () => {
    const isNew = !existsSync(folder);
    makeFolder(folder);
    const present = await readdir(folder);
    const leavings = present.filter((name) => name.startsWith(INCOMING));
    if (present.length > leavings.length) throw new FolderTaken(folder, present.length - leavings.length);
    for (const name of leavings) await rm(join(folder, name), { recursive: true });
    const incoming = await mkdtemp(join(folder, INCOMING));
    try {
      const result = await write(incoming);
      for (const name of await readdir(incoming)) await rename(join(incoming, name), join(folder, name));
      return result;
    } catch (error) {
      if (isNew) await rm(folder, { recursive: true });
      throw error;
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
  });
}

const INCOMING = ".incoming-";

/** What was there is left as it is. */
export class FolderTaken extends StageError {
  constructor(folder: string, files: number) {
    super({ code: "FolderTaken", message: `${folder}: expected an empty or new folder, found ${files} files. Name another one.`, retryable: false, details: { folder } });
  }
}
