import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";

/**
 * Writes a file under another name and renames it when it is whole, so that a file that is there is finished. It is not
 * forced to the disk: spilled files only have to outlive a process.
 */
export function publishFile(path: string, parts: readonly NodeJS.ArrayBufferView[]): void {
  const unfinished = `${path}.${process.pid}.${process.hrtime.bigint()}.tmp`;
  const file = openSync(unfinished, "wx");
  try {
    for (const part of parts) writeAll(file, part);
  } catch (error) {
    closeSync(file);
    rmSync(unfinished);
    throw error;
  }
  closeSync(file);
  renameSync(unfinished, path);
}

function writeAll(file: number, part: NodeJS.ArrayBufferView): void {
  for (let done = 0; done < part.byteLength; ) done += writeSync(file, part, done, part.byteLength - done);
}

/** A file open for positioned reads. */
export class SpillFile {
  readonly path: string;
  readonly #file: number;

  constructor(path: string) {
    this.path = path;
    this.#file = openSync(path, "r");
  }

  get bytes(): number {
    return fstatSync(this.#file).size;
  }

  /** Fills a view from the position on. @throws RangeError when the file ends before */
  read(view: NodeJS.ArrayBufferView, position: number): void {
    for (let done = 0; done < view.byteLength; ) {
      const count = readSync(this.#file, view, done, view.byteLength - done, position + done);
      if (count === 0) throw new RangeError(`${this.path}: expected ${position + view.byteLength} bytes, found ${position + done}. Delete it and run again.`);
      done += count;
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}
