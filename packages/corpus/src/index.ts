export { corpusRecipeSchema, tokenizeRecipeSchema, type CorpusRecipe, type TokenizeRecipe } from "./config.ts";
export { ContaminationIndex, type BenchmarkItem } from "./contamination.ts";
export { readDataCard, type DataCard } from "./data-card.ts";
export { EmptyCorpus, InvalidCard, SourceDrift, SourceMissing } from "./errors.ts";
export { NearDuplicateIndex } from "./near-duplicates.ts";
export { corpusStage } from "./run-corpus.ts";
export { tokenizeStage } from "./run-tokenize.ts";
export { treeDigest } from "./tree-source.ts";
