/** Stages inside the corpus that drop files, in the order in which they have their say. */
export const DROPPING_STAGES = ["decode", "exact-duplicates", "language", "licence", "contamination", "near-duplicates", "quality", "personal-data", "copyright-headers"] as const;

export type DroppingStage = (typeof DROPPING_STAGES)[number];
