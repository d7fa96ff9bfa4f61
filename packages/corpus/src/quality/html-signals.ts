import { flag, share, type Signals } from "./general-signals.ts";

/**
 * How much of a page is for people to read.
 *
 * @deviation a page parses when it holds a tag: browsers take anything
 * @source OpenCoder, arXiv:2411.04905v3, appendix A: the rules for HTML
 */
export function htmlSignals(text: string): Signals {
  const visible = text.replaceAll(/<(script|style)\b[\s\S]*?(?:<\/\1\s*>|$)/gi, "").replaceAll(/<!--[\s\S]*?(?:-->|$)/g, "").replaceAll(/<[^<>]*>/g, "");
  return { cate_ast: flag(/<[a-z][^<>]*>/i.test(text)), frac_words_text: share(visible.length, text.length), num_chars_text: visible.length };
}
