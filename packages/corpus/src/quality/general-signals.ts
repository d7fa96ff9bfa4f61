import type { TextView } from "./text-view.ts";

/** A signal that was not measured is left out. */
export type Signals = Record<string, number | undefined>;

/**
 * Signals of any text, by the names of the published filter.
 *
 * @source OpenCoder, arXiv:2411.04905v3, appendix A; n-gram signals as in RedPajama (arXiv:2411.12372v1)
 */
export function generalSignals(view: TextView): Signals {
  const { text, lines, words, characters, code, comments, codeLines } = view;
  const letters = words.reduce((sum, word) => sum + word.length, 0);
  const counts = countsOf(words);
  const strings = [...code.matchAll(STRINGS_OF_A_LINE)].map(contentOf);
  return {
    size_file_byte: Buffer.byteLength(text),
    num_chars: text.length,
    num_words: words.length,
    num_lines: lines.length,
    num_chars_line_max: lines.reduce((most, line) => Math.max(most, line.length), 0),
    num_chars_line_mean: share(text.length, lines.length),
    mean_word_length: share(letters, words.length),
    frac_words_unique: fraction(counts.size, words.length),
    entropy_unigram: entropy(counts, words.length),
    frac_chars_replacement_symbols: fraction(characters.replacements, text.length),
    frac_chars_alphabet: fraction(characters.letters, characters.visible),
    frac_chars_digital: fraction(characters.digits, characters.visible),
    frac_chars_whitespace: fraction(characters.whiteSpace, text.length),
    ...repetitionSignals(words, letters),
    frac_lines_dupe_lines: duplicateCodeLines(codeLines),
    frac_chars_comments: fraction(comments.length, text.length),
    cate_xml_start: flag(text.slice(0, 100).includes("<?xml version=")),
    cate_autogen: flag(/generate|autogen|do not edit/i.test(text.slice(0, 200))),
    cate_encoded_data: flag(holdsEncodedData(text)),
    frac_lines_long_string: share(linesOfManyTokens(code), codeLines.length),
    frac_chars_string_length: fraction(sum(strings), code.length),
    frac_chars_long_word_length: fraction(sum(strings.flatMap((string) => string.split(/\s+/)).filter((word) => word.length > 20 && !/https?:\/\/\S/.test(word))), code.length),
    frac_lines_string_concat: share(count(codeLines, (line) => /=\s*["'][^"'\n]+["']\s*\+\s*["'][^"'\n]+["']/.test(line)), codeLines.length),
    frac_chars_hex_words: fraction(sum(code.match(/\b0[xX][0-9a-fA-F]+\b/g) ?? []), code.length),
    frac_lines_prompt_comments: share(count(comments.split("\n"), (line) => /your code here|fixme|todo/i.test(line)), lines.length),
    frac_lines_assert: share(count(codeLines, (line) => /assert/i.test(line)), codeLines.length),
  };
}

export const share = (part: number, whole: number): number | undefined => (whole === 0 ? undefined : part / whole);
/** At most 1: runs that overlap count their common words twice, and joined comments have line ends that the text may lack. */
export const fraction = (part: number, whole: number): number | undefined => (whole === 0 ? undefined : Math.min(1, part / whole));
export const flag = (is: boolean): number => (is ? 1 : 0);
export const count = (lines: readonly string[], is: (line: string) => boolean): number => lines.reduce((found, line) => found + (is(line) ? 1 : 0), 0);
const sum = (parts: readonly string[]): number => parts.reduce((total, part) => total + part.length, 0);

function countsOf(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** In nats. */
function entropy(counts: ReadonlyMap<string, number>, total: number): number | undefined {
  if (total === 0) return undefined;
  let nats = 0;
  for (const found of counts.values()) nats -= (found / total) * Math.log(found / total);
  return nats;
}

/**
 * Share of the letters in the most frequent run of 2 to 4 words, and in runs of 5 to 10 words that have been seen before.
 *
 * A run is numbered by its first n - 1 words' number and its last word, which is exact and needs no hash; when those n - 1
 * words occur once, so does the run, and nothing has to be looked up.
 */
function repetitionSignals(words: readonly string[], letters: number): Signals {
  const vocabulary = new Map<string, number>();
  const wordIds = Int32Array.from(words, (word) => numberOf(vocabulary, word));
  const lengths = Int32Array.from(words, (word) => word.length);
  const signals: Signals = {};
  let [runs, times] = [wordIds, timesOf(wordIds, vocabulary.size)];
  for (let size = 2; size <= 10; size++) {
    const starts = Math.max(0, words.length - size + 1);
    const [nextRuns, nextTimes, firstAt] = [new Int32Array(starts), new Int32Array(starts), new Int32Array(starts)];
    const covered = new Uint8Array(words.length);
    const known = new Map<number, number>();
    let count = 0;
    for (let start = 0; start < starts; start++) {
      const prefix = runs[start]!;
      const key = prefix * vocabulary.size + wordIds[start + size - 1]!;
      let run = times[prefix] === 1 ? undefined : known.get(key);
      if (run === undefined) {
        run = count++;
        firstAt[run] = start;
        if (times[prefix] !== 1) known.set(key, run);
      } else covered.fill(1, start, start + size);
      nextRuns[start] = run;
      nextTimes[run]!++;
    }
    if (size <= 4) signals[`frac_chars_top_${size}grams`] = fraction(mostFrequent(nextTimes, firstAt, lengths, size), letters);
    else signals[`frac_chars_dupe_${size}grams`] = fraction(lettersCovered(lengths, covered), letters);
    [runs, times] = [nextRuns, nextTimes];
  }
  return signals;
}

function timesOf(ids: Int32Array, distinct: number): Int32Array<ArrayBuffer> {
  const times = new Int32Array(distinct);
  for (const id of ids) times[id]!++;
  return times;
}

function lettersCovered(lengths: Int32Array, covered: Uint8Array): number {
  let total = 0;
  for (let i = 0; i < lengths.length; i++) total += lengths[i]! * covered[i]!;
  return total;
}

function numberOf(known: Map<string, number>, word: string): number {
  const found = known.get(word);
  if (found !== undefined) return found;
  known.set(word, known.size);
  return known.size - 1;
}

/** Letters in all occurrences of the most frequent run, the first of equals; none when no run occurs twice. */
function mostFrequent(times: Int32Array, firstAt: Int32Array, lengths: Int32Array, size: number): number {
  let best = 0;
  for (let run = 1; run < times.length; run++) if (times[run]! > times[best]!) best = run;
  if (times.length === 0 || times[best]! < 2) return 0;
  return times[best]! * lengths.subarray(firstAt[best], firstAt[best]! + size).reduce((total, length) => total + length, 0);
}

/** Lines that occur more than once, white space apart; lone brackets are no repetition. */
function duplicateCodeLines(codeLines: readonly string[]): number | undefined {
  const counts = countsOf(codeLines.map((line) => line.replaceAll(/\s+/g, "")));
  let repeated = 0;
  for (const [line, times] of counts) if (times > 1 && line.length !== 1 && line !== "},") repeated += times;
  return share(repeated, codeLines.length);
}

/** Long base64, hexadecimal or escaped data: more than 1,024 characters in one piece, or more than half of the text. */
function holdsEncodedData(text: string): boolean {
  let total = 0;
  for (const pattern of ENCODED) {
    for (const [match] of text.matchAll(pattern)) {
      if (match.length > 1024) return true;
      total += match.length;
    }
  }
  return total > text.length / 2;
}

const ENCODED = [/[a-zA-Z0-9+/\n=]{64,}/g, /(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}/g, /(?:\\u[0-9a-fA-F]{4}){8,}/g];

const STRINGS = /'''(.*?)'''|"""(.*?)"""|'(.*?)'|"(.*?)"/gs;
const STRINGS_OF_A_LINE = /'''(.*?)'''|"""(.*?)"""|'([^\n]*?)'|"([^\n]*?)"/gs;

const contentOf = (match: RegExpExecArray): string => match[1] ?? match[2] ?? match[3] ?? match[4] ?? "";

/** Lines of strings that hold more than 20 tokens: words and runs of punctuation. */
function linesOfManyTokens(code: string): number {
  let found = 0;
  for (const match of code.matchAll(STRINGS)) {
    found += count(contentOf(match).split("\n"), (line) => line.length > 20 && (line.match(/\w+|[^\w\s]+/g)?.length ?? 0) > 20);
  }
  return found;
}
