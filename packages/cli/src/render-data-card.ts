import type { DataCard } from "@diffucoder/corpus";
import { stringify } from "yaml";
import type { CheckedSource } from "./describe-corpus.ts";

/** Sections of the page, in order; all else that a card says is its front matter. */
const SECTIONS = {
  description: "Description",
  selection: "Selection",
  personalData: "Personal data",
  benchmarkOverlap: "Overlap with benchmarks",
  knownGaps: "Known gaps",
  fitUses: "Fit uses",
  unfitUses: "Unfit uses",
} as const satisfies Partial<Record<keyof DataCard, string>>;

/**
 * A card as Markdown: facts as YAML front matter, as model and dataset hubs read it, then what it says in words.
 *
 * @param checked what a run found in the source; part of the facts
 */
export function renderDataCard(card: DataCard, checked?: CheckedSource): string {
  const { title, directory, sha256, ...rest } = card;
  const facts = Object.fromEntries(Object.entries(rest).filter(([key]) => !(key in SECTIONS)));
  const sections = Object.entries(SECTIONS).map(([key, heading]) => `## ${heading}\n\n${card[key as keyof typeof SECTIONS].trim()}\n`);
  return [`---\n${stringify({ ...facts, cardSha256: sha256, ...(checked === undefined ? {} : { checked }) }, { aliasDuplicateObjects: false })}---\n`, `# ${title}\n`, ...sections].join("\n");
}
