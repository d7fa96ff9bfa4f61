/**
 * Which values of which signals drop a document: the table of quality rules.
 *
 * A document is dropped when any signal of its family lies outside its bounds. A signal that was not measured (no code, no
 * words, a text that does not parse) breaks no bound.
 *
 * @source OpenCoder, arXiv:2411.04905v3, appendix A (RefineCode), with the thresholds of the authors' published filter;
 *   Lozhkov et al., arXiv:2402.19173v1, section 4 (StarCoder2)
 */

/** What a document is, as far as rules go. */
export const FAMILIES = ["python", "c", "cpp", "csharp", "java", "javascript", "go", "html", "sql", "shell", "data", "others", "prose-en", "prose-zh"] as const;

export type Family = (typeof FAMILIES)[number];

export interface Bounds {
  readonly least?: number | undefined;
  readonly most?: number | undefined;
  /** Of the documents beyond the bounds, the share that is dropped: a draw of its own for each document and rule. */
  readonly share?: number;
}

export type Thresholds = keyof typeof TABLES;

const CODE = ["python", "c", "cpp", "csharp", "java", "javascript", "go", "html", "sql", "shell", "data", "others"] as const satisfies readonly Family[];
const PROSE = ["prose-en", "prose-zh"] as const satisfies readonly Family[];
const ALL = FAMILIES;
const but = (...without: readonly Family[]): readonly Family[] => CODE.filter((family) => !without.includes(family));

type Rule = readonly [signal: string, families: readonly Family[], bounds: Bounds];

const REFINECODE: readonly Rule[] = [
  // signal                                families                                  outside of
  // -- the text
  ["frac_chars_replacement_symbols",       ALL,                                      { most: 0.01 }],
  ["num_words",                            CODE,                                     { least: 30 }],
  ["num_words",                            PROSE,                                    { least: 50 }],
  ["num_chars",                            but("data"),                              { least: 50 }],
  ["num_chars",                            ["data"],                                 { least: 50, most: 5000 }],
  ["num_chars",                            PROSE,                                    { least: 50 }],
  ["num_sentences",                        PROSE,                                    { least: 2 }],
  ["mean_word_length",                     CODE,                                     { least: 2, most: 10 }],
  ["mean_word_length",                     ["prose-en"],                             { least: 3, most: 10 }],
  ["mean_word_length",                     ["prose-zh"],                             { least: 1.3, most: 10 }],
  ["frac_words_unique",                    ["data"],                                 { least: 0.4 }],
  ["entropy_unigram",                      PROSE,                                    { least: 3 }],
  ["frac_words_all_caps",                  ["prose-en"],                             { most: 0.5 }],
  ["frac_words_full_bracket",              ["prose-zh"],                             { most: 0.1 }],
  ["frac_lines_end_with_readmore",         ["prose-en"],                             { most: 0.1 }],
  ["frac_lines_end_with_readmore",         ["prose-zh"],                             { most: 0.3 }],
  ["frac_lines_start_with_bullet",         PROSE,                                    { most: 0.9 }],
  ["frac_chars_hyperlink_html_tag",        PROSE,                                    { most: 0.5 }],
  // -- repetition
  ["frac_chars_top_2grams",                ALL,                                      { most: 0.2 }],
  ["frac_chars_top_3grams",                ALL,                                      { most: 0.18 }],
  ["frac_chars_top_4grams",                ALL,                                      { most: 0.16 }],
  ["frac_chars_dupe_5grams",               but("html"),                              { most: 0.8 }],
  ["frac_chars_dupe_6grams",               but("html"),                              { most: 0.7 }],
  ["frac_chars_dupe_7grams",               but("html"),                              { most: 0.7 }],
  ["frac_chars_dupe_8grams",               but("html"),                              { most: 0.7 }],
  ["frac_chars_dupe_9grams",               but("html"),                              { most: 0.7 }],
  ["frac_chars_dupe_10grams",              but("html"),                              { most: 0.6 }],
  ["frac_chars_dupe_5grams",               ["html", ...PROSE],                       { most: 0.6 }],
  ["frac_chars_dupe_6grams",               ["html", ...PROSE],                       { most: 0.6 }],
  ["frac_chars_dupe_7grams",               ["html", ...PROSE],                       { most: 0.6 }],
  ["frac_chars_dupe_8grams",               ["html", ...PROSE],                       { most: 0.6 }],
  ["frac_chars_dupe_9grams",               ["html", ...PROSE],                       { most: 0.6 }],
  ["frac_chars_dupe_10grams",              ["html", ...PROSE],                       { most: 0.6 }],
  ["frac_lines_dupe_lines",                CODE,                                     { most: 0.7 }],
  ["frac_lines_dupe_lines",                PROSE,                                    { most: 0.6 }],
  ["frac_chars_dupe_lines",                PROSE,                                    { most: 0.5 }],
  // -- size and shape
  ["size_file_byte",                       CODE,                                     { most: 3_000_000 }],
  ["num_lines",                            CODE,                                     { least: 10, most: 100_000 }],
  ["num_lines",                            PROSE,                                    { least: 10 }],
  ["num_chars_line_max",                   CODE,                                     { most: 1000 }],
  ["num_chars_line_mean",                  CODE,                                     { least: 5, most: 100 }],
  // -- characters
  ["frac_chars_alphabet",                  [...CODE, "prose-en"],                    { least: 0.5 }],
  ["frac_chars_digital",                   [...but("sql"), ...PROSE],                { most: 0.2 }],
  ["frac_chars_digital",                   ["sql"],                                  { most: 0.3 }],
  ["frac_chars_whitespace",                ALL,                                      { most: 0.5 }],
  // -- what is no program of a person
  ["frac_chars_comments",                  but("html"),                              { most: 0.8 }],
  ["cate_xml_start",                       CODE,                                     { most: 0 }],
  ["cate_autogen",                         CODE,                                     { most: 0 }],
  ["cate_encoded_data",                    CODE,                                     { most: 0 }],
  ["frac_lines_long_string",               but("data", "shell", "html"),             { most: 0.2 }],
  ["frac_chars_string_length",             but("data", "shell", "html"),             { most: 0.6 }],
  ["frac_chars_long_word_length",          but("html"),                              { most: 0.4 }],
  ["frac_chars_hex_words",                 ALL,                                      { most: 0.4 }],
  ["frac_lines_prompt_comments",           but("data", "html"),                      { most: 0.01 }],
  ["frac_lines_assert",                    but("data", "shell", "go", "html"),       { most: 0.4 }],
  // -- by language
  ["cate_ast",                             ["python", "javascript", "html"],         { least: 1 }],
  ["frac_lines_func_ratio",                but("data", "shell", "sql", "html", "others"), { most: 0.2 }],
  ["cate_var_zero",                        ["python", "csharp", "java", "javascript", "go"], { most: 0 }],
  ["score_lines_no_logic",                 but("data", "shell", "sql", "html", "others"), { most: 0.5, share: 0.8 }],
  ["frac_lines_print",                     but("data", "shell", "sql", "html", "others"), { most: 0.4 }],
  ["frac_lines_pass",                      ["python"],                               { most: 0.05 }],
  ["frac_lines_import",                    ["python"],                               { most: 0.3 }],
  ["frac_lines_simplefunc",                ["python"],                               { most: 0.1 }],
  ["nums_lines_main",                      ["c", "cpp"],                             { most: 1 }],
  ["frac_lines_preprocessor_directives",   ["c", "cpp"],                             { most: 0.8 }],
  ["cate_testfile",                        ["go"],                                   { most: 0, share: 0.8 }],
  ["frac_words_text",                      ["html"],                                 { least: 0.2 }],
  ["num_chars_text",                       ["html"],                                 { least: 100 }],
];

const STACK_V2_LIKE: readonly Rule[] = [
  ["num_lines",                            ALL,                                      { most: 100_000 }],
  ["num_chars_line_max",                   but("html", "data"),                      { most: 1000 }],
  ["num_chars_line_mean",                  but("html", "data"),                      { most: 100 }],
  ["frac_chars_alphabet",                  but("html", "data"),                      { least: 0.25 }],
  ["cate_autogen",                         CODE,                                     { most: 0 }],
  ["cate_encoded_data",                    CODE,                                     { most: 0 }],
  ["frac_words_text",                      ["html"],                                 { least: 0.2 }],
  ["num_chars_text",                       ["html"],                                 { least: 100 }],
  ["num_chars",                            ["data"],                                 { least: 50, most: 5000 }],
];

const TABLES = { refinecode: tableOf(REFINECODE), "stack-v2-like": tableOf(STACK_V2_LIKE) };

function tableOf(rules: readonly Rule[]): ReadonlyMap<Family, ReadonlyMap<string, Bounds>> {
  return new Map(FAMILIES.map((family) => [family, new Map(rules.filter(([, families]) => families.includes(family)).map(([signal, , bounds]) => [signal, bounds]))]));
}

/** The bounds of a family's signals, with a recipe's changes. */
export function boundsOf(thresholds: Thresholds, family: Family, changes: Readonly<Record<string, Bounds>> = {}): ReadonlyMap<string, Bounds> {
  const bounds = new Map(TABLES[thresholds].get(family));
  for (const [signal, change] of Object.entries(changes)) bounds.set(signal, change);
  return bounds;
}

/** Whether a value lies outside. */
export const breaks = (value: number, { least = -Infinity, most = Infinity }: Bounds): boolean => value < least || value > most;

/** Signals that some table has bounds for. */
export function boundedSignals(): ReadonlySet<string> {
  return new Set([...REFINECODE, ...STACK_V2_LIKE].map(([signal]) => signal));
}

const LANGUAGES: Readonly<Record<string, Family>> = {
  python: "python", c: "c", "c++": "cpp", "c#": "csharp", java: "java", javascript: "javascript", go: "go", html: "html", sql: "sql", plsql: "sql", plpgsql: "sql", tsql: "sql",
  shell: "shell", batchfile: "shell", powershell: "shell",
  json: "data", yaml: "data", xml: "data", csv: "data", tsv: "data", toml: "data", ini: "data", "json with comments": "data", jsonld: "data", geojson: "data", svg: "data",
  markdown: "prose-en", text: "prose-en", restructuredtext: "prose-en", asciidoc: "prose-en", "rich text format": "prose-en", org: "prose-en",
};

/** The family of a language by its Linguist name; prose is told by its letters. */
export function familyOf(language: string, text: string): Family {
  const family = LANGUAGES[language] ?? "others";
  return family === "prose-en" && isChinese(text) ? "prose-zh" : family;
}

function isChinese(text: string): boolean {
  const sample = text.slice(0, 4096);
  return (sample.match(/\p{Script=Han}/gu)?.length ?? 0) > sample.length / 5;
}
