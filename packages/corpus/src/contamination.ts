/** A text that must not be trained on, such as a benchmark's prompt and solution. */
export interface BenchmarkItem {
  readonly id: string;
  readonly text: string;
  /** Name of the function that it asks for. */
  readonly entryPoint?: string;
}

/** A run of words that a document shares with an item. */
export interface SharedRun {
  readonly item: string;
  readonly run: string;
}

/**
 * Finds documents that share a run of words with a benchmark item. A rolling hash proposes, the words decide.
 *
 * @source OpenCoder, arXiv:2411.04905v3, section 2 (any 10-gram overlap)
 */
export class ContaminationIndex {
  readonly itemCount: number;
  /** Ids of items that hold no run of that length, so that no document can be found to repeat them. */
  readonly tooShort: readonly string[];
  readonly #itemOf = new Map<string, string>();
  readonly #hashes = new Set<number>();
  readonly #words: number;
  /** BASE to the power of words: what the word that leaves a run was multiplied by. */
  readonly #leaving: number;

  constructor(items: readonly BenchmarkItem[], words = 10) {
    this.#words = words;
    this.#leaving = Array.from({ length: words }).reduce<number>((power) => Math.imul(power, BASE), 1);
    this.itemCount = items.length;
    const tooShort: string[] = [];
    for (const { id, text } of items) {
      let runs = 0;
      this.#eachRun(text.toLowerCase(), (hash, run) => {
        runs++;
        this.#hashes.add(hash);
        const words = run();
        if (!this.#itemOf.has(words)) this.#itemOf.set(words, id);
        return false;
      });
      if (runs === 0) tooShort.push(id);
    }
    this.tooShort = tooShort;
  }

  /** Id of a benchmark item that the text repeats a run of. */
  itemIn(text: string): string | undefined {
    return this.find(text)?.item;
  }

  /** The first run of the text that an item holds too. */
  find(text: string): SharedRun | undefined {
    if (this.#itemOf.size === 0) return undefined;
    let found: SharedRun | undefined;
    this.#eachRun(text.toLowerCase(), (hash, run) => {
      if (!this.#hashes.has(hash)) return false;
      const words = run();
      const item = this.#itemOf.get(words);
      if (item !== undefined) found = { item, run: words };
      return item !== undefined;
    });
    return found;
  }

  /** Calls `visit` with each run's hash, and its words when asked for, until it says that it has seen enough. */
  #eachRun(text: string, visit: (hash: number, run: () => string) => boolean): void {
    const length = this.#words;
    const [starts, ends, hashes] = [new Uint32Array(length), new Uint32Array(length), new Int32Array(length)]; // of the last words, in a ring
    const run = () => Array.from({ length }, (_, i) => (count + i) % length).map((at) => text.slice(starts[at], ends[at])).join(" ");
    let [count, rolling] = [0, 0];
    for (let position = 0; position < text.length; ) {
      if (IS_WORD[text.charCodeAt(position)] !== 1) {
        position++;
        continue;
      }
      const at = count % length;
      const leaving = hashes[at]!;
      let word = 0x811c9dc5;
      starts[at] = position;
      for (; IS_WORD[text.charCodeAt(position)] === 1; position++) word = Math.imul(word ^ text.charCodeAt(position), 0x01000193); // FNV-1a
      ends[at] = position;
      hashes[at] = word;
      rolling = (Math.imul(rolling, BASE) + word - Math.imul(leaving, this.#leaving)) | 0;
      count++;
      if (count >= length && visit(rolling, run)) return;
    }
  }
}

const BASE = 0x2c1b3c6d; // odd, so that no word is multiplied away

/** By character code: what `\w` matches. */
const IS_WORD = Uint8Array.from({ length: 128 }, (_, code) => (/\w/.test(String.fromCharCode(code)) ? 1 : 0));

/** How many items the index finds again when they are planted in a text, as they are and with their variables renamed. */
export interface PositiveControl {
  readonly planted: number;
  readonly foundInClear: number;
  readonly foundRenamed: number;
}

/** Plants every item that is long enough. In clear all must be found; what renaming hides is a known gap of runs of words. */
export function plantItems(index: ContaminationIndex, items: readonly BenchmarkItem[]): PositiveControl {
  const tooShort = new Set(index.tooShort);
  const planted = items.filter(({ id }) => !tooShort.has(id));
  const among = (text: string) => `import os\n\nprint(os.name)\n\n${text}\n\nprint(os.getcwd())\n`;
  const found = (change: (text: string) => string) => planted.filter(({ text }) => index.itemIn(among(change(text))) !== undefined).length;
  return { planted: planted.length, foundInClear: found((text) => text), foundRenamed: found(renameVariables) };
}

/** Gives parameters, assigned names and loop variables of a Python text other names, in its comments too. */
export function renameVariables(text: string): string {
  const names = new Set<string>();
  for (const [, name] of text.matchAll(/\b([A-Za-z_]\w*)\s*(?:=(?!=)|:\s*\w+\s*[,)=])/g)) names.add(name!);
  for (const [, name] of text.matchAll(/\bfor\s+([A-Za-z_]\w*)\s+in\b/g)) names.add(name!);
  for (const [, list] of text.matchAll(/\bdef\s+\w+\(([^)]*)\)/g)) for (const [name] of list!.matchAll(/^\s*[A-Za-z_]\w*|(?<=,\s*)[A-Za-z_]\w*/g)) names.add(name.trim());
  const numbered = new Map([...names].map((name, i) => [name, `renamed_${i}`]));
  return text.replaceAll(/\b[A-Za-z_]\w*/g, (word) => numbered.get(word) ?? word);
}
