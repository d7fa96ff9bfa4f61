export { TokenizerError } from "./errors.ts";
export { SPECIAL_TOKENS, Tokenizer, type DecodeOptions, type EncodeOptions } from "./tokenizer.ts";
export { trainTokenizer, type TrainTokenizerOptions } from "./train-tokenizer.ts";
export type { VocabularyFiles } from "./vocabulary-files.ts";
