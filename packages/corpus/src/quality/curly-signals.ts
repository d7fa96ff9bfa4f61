import { count, flag, share, type Signals } from "./general-signals.ts";
import type { Family } from "./thresholds.ts";

interface Patterns {
  readonly functions: RegExp;
  readonly variables: RegExp;
  readonly plainVariables: RegExp;
  readonly imports: RegExp;
  readonly classes: RegExp;
  readonly print: RegExp;
}

const KEYWORD = "(?!(?:if|else|for|while|switch|return|catch|do|new|throw|case|using|lock|foreach|goto|delete|synchronized)\\b)";
const TYPED_NAME = `^[ \\t]*${KEYWORD}(?:(?:public|private|protected|internal|static|final|const|constexpr|virtual|override|abstract|async|inline|extern|unsigned|signed|readonly|volatile|struct|synchronized|sealed)[ \\t]+){0,6}[A-Za-z_][\\w:.]*(?:<[^<>;{}()\\n]{0,80}>)?(?:\\[\\])?[ \\t*&]+`;

const FUNCTION = new RegExp(`${TYPED_NAME}${KEYWORD}[A-Za-z_~][\\w:~]*[ \\t]*\\([^;{}()]{0,400}\\)[^;{}()]{0,120}\\{`, "gm");
const VARIABLE = new RegExp(`${TYPED_NAME}[A-Za-z_]\\w*(?:\\[[^\\]\\n]{0,80}\\])*[ \\t]*(?:=[^=]|;|,)`, "gm");
const PLAIN_VALUE = `(?:[ \\t]*=[ \\t]*(?:[\\w.+-]+|"[^"\\n]{0,200}"|'[^'\\n]{0,20}'))?[ \\t]*;`;
const PLAIN_VARIABLE = new RegExp(`${TYPED_NAME}[A-Za-z_]\\w*${PLAIN_VALUE}`, "gm");

/**
 * What these languages look like where no grammar is at hand: by line, good enough for shares.
 *
 * @deviation the published filter has patterns of its own here; these name the same things
 */
const PATTERNS: Readonly<Partial<Record<Family, Patterns>>> = {
  c: { functions: FUNCTION, variables: VARIABLE, plainVariables: PLAIN_VARIABLE, imports: /^[ \t]*#[ \t]*include\b/gm, classes: /^[ \t]*(?:typedef[ \t]+)?(?:struct|union|enum)\b[^;()\n]*\{/gm, print: /printf/ },
  cpp: { functions: FUNCTION, variables: VARIABLE, plainVariables: PLAIN_VARIABLE, imports: /^[ \t]*#[ \t]*include\b/gm, classes: /^[ \t]*(?:template[^\n]*)?(?:class|struct|union|enum)\b[^;()\n]*\{/gm, print: /cout|printf/ },
  csharp: { functions: FUNCTION, variables: VARIABLE, plainVariables: PLAIN_VARIABLE, imports: /^[ \t]*using[ \t]+[\w.=\s]+;/gm, classes: /\b(?:class|struct|interface|enum|record)[ \t]+\w+/g, print: /Console\.Write/ },
  java: { functions: FUNCTION, variables: VARIABLE, plainVariables: PLAIN_VARIABLE, imports: /^[ \t]*import\b/gm, classes: /\b(?:class|interface|enum|record)[ \t]+\w+/g, print: /System\.out\.print/ },
  go: {
    functions: /^[ \t]*func\b[^\n]*\{/gm,
    variables: /:=|\bvar[ \t]+\w|^[ \t]*const[ \t]+\w|\b(?:var|const)[ \t]*\(/gm,
    plainVariables: /^[ \t]*(?:var|const)[ \t]+\w[^\n({]*$|^[ \t]*\w+[ \t]*:=[ \t]*(?:[\w.+-]+|"[^"\n]{0,200}")[ \t]*$/gm,
    imports: /^[ \t]*import[ \t]+["\w]|^[ \t]*(?:[\w.]+[ \t]+)?"[\w./-]+"[ \t]*$/gm,
    classes: /^[ \t]*type[ \t]+\w+[ \t]+(?:struct|interface)\b/gm,
    print: /fmt\.Print/,
  },
};

const PLAIN_RETURN = /^[ \t]*return\b[ \t]*(?:[\w.+-]+|"[^"\n]{0,200}")?[ \t]*;?[ \t]*$/gm;

/** @source OpenCoder, arXiv:2411.04905v3, appendix A: the rules for C, C++, C#, Java and Go */
export function curlySignals(family: Family, path: string, code: string, codeLines: readonly string[]): Signals {
  const patterns = PATTERNS[family];
  if (patterns === undefined) return {};
  const found = (pattern: RegExp) => code.match(pattern)?.length ?? 0;
  const lines = codeLines.length;
  const { functions, variables, plainVariables, imports, classes, print } = patterns;
  const signals: Signals = {
    frac_lines_func_ratio: share(found(functions), lines),
    cate_var_zero: flag(found(variables) === 0),
    score_lines_no_logic: share(found(functions) + found(imports) + found(plainVariables) + found(PLAIN_RETURN) + found(classes), lines),
    frac_lines_print: share(count(codeLines, (line) => print.test(line)), lines),
  };
  if (family === "go") return { ...signals, cate_testfile: flag(path.toLowerCase().endsWith("_test.go")) };
  if (family !== "c" && family !== "cpp") return signals;
  return {
    ...signals,
    nums_lines_main: found(/\bmain\s*\([^)]*\)\s*\{/g),
    frac_lines_preprocessor_directives: share(count(codeLines, (line) => /^\s*#/.test(line)), lines),
    frac_lines_goto: share(count(codeLines, (line) => line.includes("goto")), lines),
  };
}
