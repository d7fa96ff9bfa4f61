import { stream } from "@diffucoder/random";
import type { Columns } from "../attribute-table.ts";
import type { Hit, InnerStage } from "../inner-stage.ts";
import { SignalMeter } from "../quality/measure-signals.ts";
import { GRAMMARS } from "../quality/syntax.ts";
import { boundsOf, breaks, type Family } from "../quality/thresholds.ts";
import { LanguageDetector } from "./language.ts";

/** Every signal that some language has, as a column. */
const SIGNALS = [
  "size_file_byte", "num_chars", "num_words", "num_lines", "num_sentences", "num_chars_line_max", "num_chars_line_mean", "num_chars_text", "nums_lines_main",
  "mean_word_length", "entropy_unigram",
  "frac_words_unique", "frac_words_all_caps", "frac_words_full_bracket", "frac_words_text",
  "frac_chars_replacement_symbols", "frac_chars_alphabet", "frac_chars_digital", "frac_chars_whitespace", "frac_chars_comments", "frac_chars_string_length",
  "frac_chars_long_word_length", "frac_chars_hex_words", "frac_chars_hyperlink_html_tag", "frac_chars_dupe_lines",
  "frac_chars_top_2grams", "frac_chars_top_3grams", "frac_chars_top_4grams",
  "frac_chars_dupe_5grams", "frac_chars_dupe_6grams", "frac_chars_dupe_7grams", "frac_chars_dupe_8grams", "frac_chars_dupe_9grams", "frac_chars_dupe_10grams",
  "frac_lines_dupe_lines", "frac_lines_long_string", "frac_lines_string_concat", "frac_lines_prompt_comments", "frac_lines_assert", "frac_lines_end_with_readmore", "frac_lines_start_with_bullet",
  "frac_lines_func_ratio", "frac_lines_print", "frac_lines_pass", "frac_lines_import", "frac_lines_simplefunc", "frac_lines_preprocessor_directives", "frac_lines_goto",
  "score_lines_no_logic", "cate_ast", "cate_var_zero", "cate_xml_start", "cate_autogen", "cate_encoded_data", "cate_testfile",
] as const;

/** Quality signals of each document. The thresholds are not in the table: they are a matter of judging. */
export const quality: InnerStage = {
  name: "quality",
  module: import.meta.filename,
  scope: "document",
  assets: Object.values(GRAMMARS),
  columns: { family: "text", ...(Object.fromEntries(SIGNALS.map((name) => [name, "number?"])) as Columns) },
  prepare: ({ quality: asked }) => {
    if (asked === undefined) return undefined;
    return {
      settings: {},
      async *rows(pool) {
        const [detector, meter] = await Promise.all([LanguageDetector.create(), SignalMeter.create()]);
        try {
          for await (const { docId, path } of pool.visit()) {
            const text = pool.text(docId);
            const { family, signals } = meter.measure(text, detector.detect(path, text).language, path);
            yield { doc_id: docId, family, ...signals };
          }
        } finally {
          meter.close();
        }
      },
    };
  },
  async *judge(rows, { quality: asked }, { seed }) {
    if (asked === undefined) return;
    for await (const row of rows) {
      const docId = row.doc_id as string;
      for (const [rule, bounds] of boundsOf(asked.thresholds, row.family as Family, asked.changes)) {
        const value = row[rule];
        if (typeof value !== "number" || !breaks(value, bounds) || isSpared(docId, rule, bounds.share, seed)) continue;
        const { least, most } = bounds;
        yield { docId, reason: "quality", rule, value, ...(least === undefined ? {} : { least }), ...(most === undefined ? {} : { most }) } satisfies Hit;
      }
    }
  },
};

/** A rule that drops a share of what breaks it spares the others, the same ones on every machine. */
function isSpared(docId: string, rule: string, share: number | undefined, seed: number): boolean {
  return share !== undefined && stream({ seed, stage: "corpus", purpose: `${rule} ${docId}` }).uniform() >= share;
}
