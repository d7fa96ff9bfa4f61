import { createRequire } from "node:module";
import { Language, Parser, type Node } from "web-tree-sitter";

export type { Node };

const require = createRequire(import.meta.filename);

/** Compiled grammars; the tables depend on their bytes. */
export const GRAMMARS = {
  python: require.resolve("tree-sitter-python/tree-sitter-python.wasm"),
  javascript: require.resolve("tree-sitter-javascript/tree-sitter-javascript.wasm"),
} as const;

export type Grammar = keyof typeof GRAMMARS;

/** Parses texts of one language. */
export class SyntaxParser {
  readonly #parser: Parser;

  private constructor(parser: Parser) {
    this.#parser = parser;
  }

  static async create(grammar: Grammar): Promise<SyntaxParser> {
    await Parser.init(); // once; a second call does nothing
    const parser = new Parser();
    parser.setLanguage(await Language.load(GRAMMARS[grammar]));
    return new SyntaxParser(parser);
  }

  /** Calls `look` with the root; its nodes are gone afterwards. */
  parse<T>(text: string, look: (root: Node) => T): T {
    const tree = this.#parser.parse(text)!;
    try {
      return look(tree.rootNode);
    } finally {
      tree.delete();
    }
  }

  close(): void {
    this.#parser.delete();
  }
}

/** The parts of a text outside and inside of nodes that do not overlap. */
export function splitAt(text: string, nodes: readonly Node[]): { code: string; comments: string } {
  let [code, comments, from] = ["", "", 0];
  for (const { startIndex, endIndex } of [...nodes].sort((a, b) => a.startIndex - b.startIndex)) {
    code += text.slice(from, startIndex);
    comments += `${text.slice(startIndex, endIndex)}\n`;
    from = endIndex;
  }
  return { code: code + text.slice(from), comments };
}
