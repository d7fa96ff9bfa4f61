import { tmpdir } from "node:os";
import type { DataCard } from "../src/data-card.ts";

/** A card for tests, complete but for what a test is about. */
export function tinyCard(changes: Partial<DataCard> = {}): DataCard {
  return {
    id: "tiny",
    version: "1",
    title: "Tiny",
    description: "For tests.",
    selection: "None.",
    personalData: "None.",
    benchmarkOverlap: "None.",
    knownGaps: "All.",
    fitUses: "Tests.",
    unfitUses: "All others.",
    origin: { kind: "tree", path: "tree", license: "MIT" },
    include: ["**/*.py"],
    counts: { files: 1, bytes: 1 },
    largestFileBytes: 1 << 20,
    directory: tmpdir(),
    sha256: "0".repeat(64),
    ...changes,
  };
}
