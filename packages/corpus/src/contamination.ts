/** A text that must not be trained on, such as a benchmark's prompt and solution. */
export interface BenchmarkItem {
  readonly id: string;
  readonly text: string;
}

/**
 * Finds documents that share a run of words with a benchmark item.
 *
 * @source OpenCoder, arXiv:2411.04905v3, section 2 (any 10-gram overlap)
 */
export class ContaminationIndex {
  readonly itemCount: number;
  /** Ids of items that hold no run of that length, so that no document can be found to repeat them. */
  readonly tooShort: readonly string[];
  readonly #itemOf = new Map<string, string>();
  readonly #words: number;

  constructor(items: readonly BenchmarkItem[], words = 10) {
    this.#words = words;
    this.itemCount = items.length;
    const tooShort: string[] = [];
    for (const { id, text } of items) {
      const runs = [...this.#runsOf(text)];
      if (runs.length === 0) tooShort.push(id);
      for (const run of runs) if (!this.#itemOf.has(run)) this.#itemOf.set(run, id);
    }
    this.tooShort = tooShort;
  }

  /** Id of a benchmark item that the text repeats a run of. */
  itemIn(text: string): string | undefined {
    if (this.#itemOf.size === 0) return undefined;
    for (const run of this.#runsOf(text)) {
      const item = this.#itemOf.get(run);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  *#runsOf(text: string): Generator<string> {
    const words = text.toLowerCase().match(/\w+/g) ?? [];
    for (let start = 0; start + this.#words <= words.length; start++) yield words.slice(start, start + this.#words).join(" ");
  }
}
