/**
 * Qwen2's pre-tokenizer as it stands in `tokenizer.json`: contractions, words with one leading symbol, single digits,
 * symbols, line ends, spaces.
 *
 * @source Qwen2 tokenizer, `tokenization_qwen2.py` (PRETOKENIZE_REGEX)
 */
export const PUBLISHED_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/**
 * End of the word that begins at `start`: where the published pattern's match there would end.
 *
 * Written out by hand, since a regular expression with Unicode classes takes most of the time of encoding. White space
 * is Unicode's White_Space as in the pattern's own engines, which differs from JavaScript's `\s` in U+0085 and U+FEFF.
 */
export function wordEnd(text: string, start: number): number {
  const kind = kindAt(text, start);
  const second = start + widthAt(text, start);
  if (kind === LETTER) return endOfRun(text, second, LETTER);
  if (kind === NUMBER) return second;
  if (kind !== NEWLINE) {
    if (text.charCodeAt(start) === APOSTROPHE) {
      const contraction = contractionLength(text, second);
      if (contraction > 0) return second + contraction;
    }
    const next = kindAt(text, second);
    if (next === LETTER) return endOfRun(text, second, LETTER);
    if (kind === SYMBOL) return endOfRun(text, endOfRun(text, second, SYMBOL), NEWLINE);
    if (next === SYMBOL && text.charCodeAt(start) === SPACE_CHARACTER) return endOfRun(text, endOfRun(text, second, SYMBOL), NEWLINE);
  }
  return endOfWhiteSpace(text, start);
}

/** Up to the last line end in it; without one all of it, save that the last of several goes to a word behind. */
function endOfWhiteSpace(text: string, start: number): number {
  let end = start;
  let behindNewline = 0;
  for (let kind = kindAt(text, end); kind === NEWLINE || kind === SPACE; kind = kindAt(text, end)) {
    end += 1; // no white space lies outside the basic plane
    if (kind === NEWLINE) behindNewline = end;
  }
  if (behindNewline > 0) return behindNewline;
  return end === text.length || end === start + 1 ? end : end - 1;
}

function endOfRun(text: string, start: number, kind: number): number {
  let end = start;
  while (kindAt(text, end) === kind) end += widthAt(text, end);
  return end;
}

/** Units behind an apostrophe that contract: s t m d, re ve ll, in any case; the long s folds to s. */
function contractionLength(text: string, start: number): number {
  const first = lowerCase(text.charCodeAt(start));
  if (first === S || first === LONG_S || first === T || first === M || first === D) return 1;
  const second = lowerCase(text.charCodeAt(start + 1));
  return ((first === R || first === V) && second === E) || (first === L && second === L) ? 2 : 0;
}

const lowerCase = (unit: number): number => (unit >= 0x41 && unit <= 0x5a ? unit + 0x20 : unit);

const [S, T, M, D, R, V, E, L] = [..."stmdrvel"].map((letter) => letter.charCodeAt(0)) as [number, number, number, number, number, number, number, number];
const LONG_S = 0x17f;
const APOSTROPHE = 0x27;
const SPACE_CHARACTER = 0x20;

const LETTER = 1;
const NUMBER = 2;
const NEWLINE = 3;
/** White space other than a line end. */
const SPACE = 4;
const SYMBOL = 5;

/** Kind of each code point; 0 where it was not asked for yet. */
const kinds = new Uint8Array(0x110000);

/** Kind of the code point at an index; 0 at the end. */
function kindAt(text: string, index: number): number {
  if (index >= text.length) return 0;
  const unit = text.charCodeAt(index);
  const point = (unit & 0xfc00) === 0xd800 ? text.codePointAt(index)! : unit;
  return kinds[point] || (kinds[point] = kindOf(String.fromCodePoint(point)));
}

function widthAt(text: string, index: number): number {
  return (text.charCodeAt(index) & 0xfc00) === 0xd800 && text.codePointAt(index)! > 0xffff ? 2 : 1;
}

function kindOf(character: string): number {
  if (/\p{L}/u.test(character)) return LETTER;
  if (/\p{N}/u.test(character)) return NUMBER;
  if (/[\r\n]/.test(character)) return NEWLINE;
  return /\p{White_Space}/u.test(character) ? SPACE : SYMBOL;
}
