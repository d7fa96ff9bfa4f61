/** A text the way signals look at it: lines, words, visible characters, code apart from comments. */
export interface TextView {
  readonly text: string;
  /** With their line ends. */
  readonly lines: readonly string[];
  /** Runs of letters, digits and marks, in small letters and compatibility form. */
  readonly words: readonly string[];
  readonly characters: CharacterCounts;
  /** The text without its comments and documentation. */
  readonly code: string;
  readonly comments: string;
  /** Lines of the code that are not blank. */
  readonly codeLines: readonly string[];
}

export interface CharacterCounts {
  readonly visible: number;
  readonly letters: number;
  readonly digits: number;
  readonly whiteSpace: number;
  readonly replacements: number;
}

export function viewOf(text: string, { code, comments }: { readonly code: string; readonly comments: string }): TextView {
  return {
    text,
    lines: linesOf(text),
    words: text.normalize("NFKC").toLowerCase().match(/[\p{L}\p{N}\p{M}]+/gu) ?? [],
    characters: countCharacters(text),
    code,
    comments,
    codeLines: linesOf(code).filter((line) => line.trim() !== ""),
  };
}

const linesOf = (text: string): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

function countCharacters(text: string): CharacterCounts {
  let [visible, letters, digits, whiteSpace, replacements] = [0, 0, 0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const kind = code < 128 ? ASCII_KIND[code] : kindOf(String.fromCharCode(code));
    if (kind === WHITE_SPACE) whiteSpace++;
    else visible++;
    if (kind === LETTER) letters++;
    if (kind === DIGIT) digits++;
    if (code === 0xfffd) replacements++;
  }
  return { visible, letters, digits, whiteSpace, replacements };
}

const [OTHER, LETTER, DIGIT, WHITE_SPACE] = [0, 1, 2, 3];

const kindOf = (character: string): number => (/\s/.test(character) ? WHITE_SPACE : /\p{L}/u.test(character) ? LETTER : /\p{Nd}/u.test(character) ? DIGIT : OTHER);

const ASCII_KIND = Uint8Array.from({ length: 128 }, (_, code) => kindOf(String.fromCharCode(code)));

/** How comments are written, by language. */
interface CommentSyntax {
  readonly line: readonly string[];
  readonly block?: readonly [open: string, close: string];
  /** What a string is put in; comments within are none. */
  readonly quotes: string;
}

const C_LIKE: CommentSyntax = { line: ["//"], block: ["/*", "*/"], quotes: "\"'`" };
const HASH: CommentSyntax = { line: ["#"], quotes: "\"'" };
const SYNTAX: Readonly<Record<string, CommentSyntax>> = {
  ...Object.fromEntries(["c", "c++", "c#", "java", "javascript", "typescript", "tsx", "go", "rust", "kotlin", "swift", "scala", "dart", "objective-c", "groovy", "css", "scss", "less", "glsl", "cuda", "verilog", "f#", "zig"].map((name) => [name, C_LIKE])),
  ...Object.fromEntries(["shell", "ruby", "perl", "r", "yaml", "toml", "makefile", "dockerfile", "elixir", "julia", "powershell", "cmake", "nim", "tcl"].map((name) => [name, HASH])),
  php: { line: ["//", "#"], block: ["/*", "*/"], quotes: "\"'" },
  ...Object.fromEntries(["sql", "plsql", "plpgsql", "tsql"].map((name) => [name, { line: ["--"], block: ["/*", "*/"], quotes: "'" } as const])),
  lua: { line: ["--"], block: ["--[[", "]]"], quotes: "\"'" },
  haskell: { line: ["--"], block: ["{-", "-}"], quotes: "\"" },
  ini: { line: [";", "#"], quotes: "" },
  batchfile: { line: ["::", "REM "], quotes: "" },
  ...Object.fromEntries(["html", "xml", "svg", "vue"].map((name) => [name, { line: [], block: ["<!--", "-->"], quotes: "" } as const])),
  tex: { line: ["%"], quotes: "" },
  matlab: { line: ["%"], quotes: "" },
};

/** Parts comments from code by a language's marks, strings respected; all is code where the marks are not known. */
export function splitComments(text: string, language: string): { code: string; comments: string } {
  const syntax = SYNTAX[language];
  if (syntax === undefined) return { code: text, comments: "" };
  const { line, block, quotes } = syntax;
  let [code, comments, from, at] = ["", "", 0, 0];
  const cut = (end: number) => {
    code += text.slice(from, at);
    comments += text.slice(at, end);
    from = at = end;
  };
  const starts = new Set([...line.map((mark) => mark[0]!), ...(block === undefined ? [] : [block[0][0]!])]);
  while (at < text.length) {
    const character = text[at]!;
    if (quotes.includes(character)) at = endOfString(text, at, character);
    else if (!starts.has(character)) at++;
    else if (block !== undefined && text.startsWith(block[0], at)) cut(endAfter(text, block[1], at + block[0].length));
    else if (line.some((mark) => text.startsWith(mark, at))) cut(endAfter(text, "\n", at));
    else at++;
  }
  return { code: code + text.slice(from), comments };
}

function endAfter(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from);
  return found < 0 ? text.length : found + mark.length;
}

/** After the closing quote; a string that is not closed on its line is taken to be an apostrophe. */
function endOfString(text: string, start: number, quote: string): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === quote) return at + 1;
    else if (text[at] === "\n" && quote !== "`") break;
  }
  return start + 1;
}
