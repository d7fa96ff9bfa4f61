import { basename, extname } from "node:path";
import type { InnerStage } from "../inner-stage.ts";

/** What a file is written in, and how that is known. */
export interface Detection {
  /** Linguist's name in small letters, such as `python` or `c++`; `unknown` when nothing tells. */
  readonly language: string;
  readonly by: "name" | "extension" | "shebang" | "content" | "none";
}

/** The language of each document: by file name, extension, first line and content, in that order. */
export const language: InnerStage = {
  name: "language",
  module: import.meta.filename,
  scope: "document",
  columns: { language: "text", detected_by: "text" },
  prepare: () => ({
    settings: {},
    async *rows(pool) {
      const detector = await LanguageDetector.create();
      for await (const { docId, path } of pool.visit()) {
        const found = detector.detect(path, pool.text(docId));
        yield { doc_id: docId, language: found.language, detected_by: found.by };
      }
    },
  }),
  async *judge(rows, { languages }) {
    if (languages === undefined) return;
    for await (const { doc_id: docId, language: found } of rows) {
      if (!languages.includes(found as string)) yield { docId: docId as string, reason: "language", of: found as string };
    }
  },
};

interface LinguistLanguage {
  readonly name: string;
  readonly extensions?: readonly string[];
  readonly filenames?: readonly string[];
  readonly interpreters?: readonly string[];
}

/**
 * Tells languages by the tables of GitHub's Linguist. Where several claim an extension, its content decides; where that
 * says nothing, the one that most files of the extension are in.
 */
export class LanguageDetector {
  readonly #byName = new Map<string, string>();
  readonly #byExtension = new Map<string, string[]>();
  readonly #byInterpreter = new Map<string, string>();

  static async create(): Promise<LanguageDetector> {
    const detector = new LanguageDetector();
    for (const { name, extensions = [], filenames = [], interpreters = [] } of Object.values<LinguistLanguage>(await import("linguist-languages"))) {
      const id = name.toLowerCase();
      for (const each of filenames) detector.#byName.set(each, id);
      for (const each of extensions) detector.#byExtension.set(each.toLowerCase(), [...(detector.#byExtension.get(each.toLowerCase()) ?? []), id]);
      for (const each of interpreters) if (!detector.#byInterpreter.has(each)) detector.#byInterpreter.set(each, id);
    }
    // Claimed by many, and by these with next to all files.
    for (const [interpreter, id] of [["python", "python"], ["node", "javascript"], ["sh", "shell"], ["perl", "perl"]] as const) detector.#byInterpreter.set(interpreter, id);
    return detector;
  }

  detect(path: string, text: string): Detection {
    const name = basename(path);
    const byName = this.#byName.get(name);
    if (byName !== undefined) return { language: byName, by: "name" };
    const candidates = this.#candidates(name);
    if (candidates.length === 1) return { language: candidates[0]!, by: "extension" };
    if (candidates.length > 1) {
      const told = HINTS.find(({ language: id, sign }) => candidates.includes(id) && sign.test(text));
      if (told !== undefined) return { language: told.language, by: "content" };
      return { language: USUAL[extname(name).toLowerCase()] ?? candidates.toSorted()[0]!, by: "extension" };
    }
    const byShebang = this.#byInterpreter.get(interpreterOf(text) ?? "");
    if (byShebang !== undefined) return { language: byShebang, by: "shebang" };
    const told = SIGNS.find(({ sign }) => sign.test(text));
    return told === undefined ? { language: "unknown", by: "none" } : { language: told.language, by: "content" };
  }

  /** Languages that claim the longest extension of a name. */
  #candidates(name: string): readonly string[] {
    const lower = name.toLowerCase();
    for (let dot = lower.indexOf(".", 1); dot >= 0; dot = lower.indexOf(".", dot + 1)) {
      const found = this.#byExtension.get(lower.slice(dot));
      if (found !== undefined) return found;
    }
    return [];
  }
}

/** `python3.11` of `#!/usr/bin/env -S python3.11 -u`, without its version. */
function interpreterOf(text: string): string | undefined {
  const words = /^#!\s*(.*)/.exec(text)?.[1]?.trim().split(/\s+/);
  if (words === undefined) return undefined;
  const program = basename(words[0]!) === "env" ? words.slice(1).find((word) => !word.startsWith("-") && !word.includes("=")) : words[0];
  return program === undefined ? undefined : basename(program).replace(/[\d.]+$/, "");
}

/** What gives one of several languages of an extension away, surest first. */
const HINTS: readonly { readonly language: string; readonly sign: RegExp }[] = [
  { language: "xml", sign: /^\s*<\?xml|^\s*<!DOCTYPE TS>/ },
  { language: "objective-c", sign: /^\s*(@(interface|class|protocol|property|end|implementation|synthesize|import)\b|#import\s+[<"])/m },
  { language: "c++", sign: /^\s*(#\s*include\s*<(cstd\w+|string|vector|map|memory|iostream|utility|functional|algorithm)>|template\s*<|namespace\s+\w*\s*\{?|using\s+namespace|class\s+\w+|(public|private|protected):|constexpr\b)/m },
  { language: "matlab", sign: /^\s*(%|function\b[^\n(]*=|end\s*$)/m },
  { language: "raku", sign: /^\s*(use\s+v6|my\s+class|unit\s+)\b/m },
  { language: "perl", sign: /\b(use\s+strict|use\s+warnings|my\s+[$@%]\w+|sub\s+\w+\s*\{)/ },
  { language: "prolog", sign: /^[^#\n]+:-/m },
  { language: "verilog", sign: /^\s*(module|endmodule|always\s*@)/m },
  { language: "f#", sign: /^\s*(let|open|module|namespace)\s+\w/m },
  { language: "glsl", sign: /^\s*(#version|uniform|varying|attribute)\b/m },
  { language: "r", sign: /<-|^\s*library\(/m },
  { language: "rust", sign: /^\s*(use|fn|pub|impl|mod|struct|macro_rules)\b/m },
  { language: "typescript", sign: /^\s*(import|export|interface|type|const|let|function|class|declare)\b/m },
];

/** What most files of a claimed-by-many extension are in. */
const USUAL: Readonly<Record<string, string>> = {
  ".h": "c", ".m": "objective-c", ".pl": "perl", ".pm": "perl", ".t": "perl", ".v": "verilog", ".fs": "f#", ".r": "r", ".rs": "rust", ".ts": "typescript",
  ".tsx": "tsx", ".md": "markdown", ".py": "python", ".js": "javascript", ".cs": "c#", ".php": "php", ".rb": "ruby", ".go": "go", ".java": "java",
  ".html": "html", ".htm": "html", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".xml": "xml", ".sql": "sql", ".sh": "shell", ".bash": "shell",
  ".txt": "text", ".tex": "tex", ".c": "c", ".cpp": "c++", ".cc": "c++", ".hpp": "c++", ".lua": "lua", ".kt": "kotlin", ".swift": "swift", ".scala": "scala",
  ".css": "css", ".csv": "csv", ".toml": "toml", ".ini": "ini", ".rst": "restructuredtext", ".vue": "vue", ".d": "d", ".ml": "ocaml", ".ex": "elixir",
};

/** For files whose names tell nothing. */
const SIGNS: readonly { readonly language: string; readonly sign: RegExp }[] = [
  { language: "xml", sign: /^\s*<\?xml\b/ },
  { language: "html", sign: /^\s*(<!doctype html|<html\b)/i },
  { language: "php", sign: /^\s*<\?php\b/ },
  { language: "python", sign: /^(from\s+[\w.]+\s+import\s|import\s+\w+\s*$|def\s+\w+\([^)]*\)\s*(->[^:]+)?:\s*$|if __name__ == )/m },
  { language: "c", sign: /^\s*#\s*include\s*[<"]/m },
  { language: "java", sign: /^\s*(package\s+[\w.]+;|public\s+(final\s+)?class\s+\w+)/m },
  { language: "go", sign: /^package\s+\w+\s*$/m },
  { language: "json", sign: /^\s*[{[]\s*("[^"\n]*"\s*:|["{[\d\]])/ },
];
