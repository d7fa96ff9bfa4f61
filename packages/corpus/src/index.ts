export { corpusRecipeSchema, tokenizeRecipeSchema, type CorpusRecipe, type TokenizeRecipe } from "./config.ts";
export { ContaminationIndex, type BenchmarkItem } from "./contamination.ts";
export { readDataCard, type DataCard } from "./data-card.ts";
export { explainDocument, findFates, type CorpusFile, type Explanation, type FileFate, type FiredRule, type Margin, type TokenUse } from "./explain-document.ts";
export { EmptyCorpus, InvalidCard, LossAlarm, SourceChanged, SourceCorrupt, SourceDrift, SourceMissing } from "./errors.ts";
export {
  findNearDuplicates,
  type CandidatePair,
  type DedupExecution,
  type DedupProgress,
  type NearDuplicateDocument,
  type NearDuplicateOptions,
  type NearDuplicateSummary,
  type NearDuplicates,
  type Removal,
} from "./near-duplicates/find-near-duplicates.ts";
export { CLUSTER_RULES, type ClusterRule } from "./near-duplicates/clusters.ts";
export { KEEPER_RULES, type KeeperRule } from "./near-duplicates/keeper-order.ts";
export { MinHashKernel, type Signature } from "./near-duplicates/minhash-kernel.ts";
export { MINHASH_PRESETS, candidateProbability, type MinHashPreset, type MinHashScheme } from "./near-duplicates/minhash-scheme.ts";
export { SignalMeter, type Measured } from "./quality/measure-signals.ts";
export { corpusStage } from "./run-corpus.ts";
export { tokenizeStage } from "./run-tokenize.ts";
