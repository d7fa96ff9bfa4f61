import { count, fraction, share, type Signals } from "./general-signals.ts";
import type { TextView } from "./text-view.ts";

/** Signals of texts for people to read. @source OpenCoder, arXiv:2411.04905v3, appendix A */
export function proseSignals({ text, lines, words, characters }: TextView): Signals {
  const trimmed = lines.map((line) => line.trim());
  const filled = trimmed.filter((line) => line !== "");
  const counts = new Map<string, number>();
  for (const line of filled) counts.set(line, (counts.get(line) ?? 0) + 1);
  const repeated = [...counts].filter(([, times]) => times > 1);
  const raw = text.match(/\S+/g) ?? [];
  const marked = [...(text.match(/\(https?:\/\/[^\s)]+\)/g) ?? []), ...(text.match(/<[^<>\n]*>/g) ?? [])];
  return {
    num_sentences: (text.match(/[\p{L}\p{N}_][^.!?。！？؟]*[.!?。！？؟]*/gu) ?? []).length,
    frac_lines_dupe_lines: share(repeated.reduce((sum, [, times]) => sum + times, 0), filled.length),
    frac_chars_dupe_lines: share(
      repeated.reduce((sum, [line, times]) => sum + line.length * times, 0),
      filled.reduce((sum, line) => sum + line.length, 0),
    ),
    frac_lines_end_with_readmore: share(count(trimmed, (line) => /(\.\.\.|…|全文|详情|详细|更多|もっと|詳細|もっと読む|المزيد|تفاصيل)[\]】)>》]*$/u.test(line)), lines.length),
    frac_lines_start_with_bullet: share(count(trimmed, (line) => /^[•●○■□▪▫※·➢∙‣⁃◦*–—-]/u.test(line)), lines.length),
    frac_words_all_caps: share(count(raw, (word) => /\p{Lu}/u.test(word) && word === word.toUpperCase()), raw.length),
    frac_words_full_bracket: fraction(count([...text], (character) => character === "【" || character === "】"), words.length),
    frac_chars_hyperlink_html_tag: fraction(marked.reduce((sum, each) => sum + each.length, 0), text.length),
    frac_chars_alphabet: share(characters.letters, characters.visible),
  };
}
