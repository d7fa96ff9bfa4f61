/** Takes lines and counted bytes off a stream, in turn. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Up to the next line feed, which is left out. */
  async line(): Promise<Buffer> {
    for (;;) {
      const end = this.#held.indexOf(LINE_FEED);
      if (end >= 0) return this.#take(end + 1).subarray(0, end);
      await this.#more();
    }
  }

  async bytes(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = count; ; ) {
      const part = this.#take(Math.min(missing, this.#held.length));
      parts.push(part);
      missing -= part.length;
      if (missing === 0) return Buffer.concat(parts);
      await this.#more();
    }
  }

  #take(count: number): Buffer {
    const taken = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return taken;
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done === true) throw new RangeError("stream: expected more bytes, found its end");
    this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value]);
  }
}

const LINE_FEED = 10;
