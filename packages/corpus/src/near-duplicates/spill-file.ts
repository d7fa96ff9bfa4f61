import { closeSync, fstatSync, openSync, readSync, renameSync, writeSync } from "node:fs";

/**
 * A file that gets its name when it is whole, so that a file that is there is finished. It is not forced to the disk:
 * spilled files only have to outlive a process.
 */
export class UnfinishedFile {
  readonly #path: string;
  readonly #unfinished: string;
  readonly #file: number;

  constructor(path: string) {
    this.#path = path;
    this.#unfinished = `${path}.${process.pid}.${process.hrtime.bigint()}.tmp`;
    this.#file = openSync(this.#unfinished, "wx");
  }

  write(part: NodeJS.ArrayBufferView): void {
    for (let done = 0; done < part.byteLength; ) done += writeSync(this.#file, part, done, part.byteLength - done);
  }

  publish(): void {
    closeSync(this.#file);
    renameSync(this.#unfinished, this.#path);
  }
}

/** Writes a whole file under its name. */
export function publishFile(path: string, parts: readonly NodeJS.ArrayBufferView[]): void {
  const file = new UnfinishedFile(path);
  for (const part of parts) file.write(part);
  file.publish();
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
    if (position < 0) throw this.#tooShort(-position, 0);
    for (let done = 0; done < view.byteLength; ) {
      const count = readSync(this.#file, view, done, view.byteLength - done, position + done);
      if (count === 0) throw this.#tooShort(position + view.byteLength, position + done);
      done += count;
    }
  }

  close(): void {
    closeSync(this.#file);
  }

  #tooShort(expected: number, found: number): RangeError {
    return new RangeError(`${this.path}: expected ${expected} bytes, found ${found}. Delete it and run again.`);
  }
}
