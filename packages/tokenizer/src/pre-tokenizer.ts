/**
 * Qwen2's pre-tokenizer: contractions, words with one leading symbol, single digits, punctuation, line ends, spaces.
 *
 * The published pattern is for Rust: its `(?i:...)` is spelled out here (the long s folds to s), and its `\s` is
 * Unicode White_Space, which differs from JavaScript's in U+0085 and U+FEFF.
 *
 * @source Qwen2 tokenizer, `tokenization_qwen2.py` (PRETOKENIZE_REGEX)
 */
export const PRE_TOKEN =
  /'(?:[sSſ]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** The same pattern as it stands in `tokenizer.json`. */
export const PUBLISHED_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
