import type { DataCard } from "@diffucoder/corpus";
import { DOCUMENTS_FILE, readDocuments, type DatasetDescription } from "@diffucoder/formats";
import { lineageOf, type ArtifactRef, type Store } from "@diffucoder/lineage";
import { UsageError } from "./project.ts";

/** What only a person can say of a corpus that is published. */
export interface Publication {
  readonly name: string;
  readonly version: string;
  readonly url: string;
  readonly creators: readonly string[];
}

/**
 * Describes a corpus by its documents, its records, and the cards of its sources; nothing that is counted is typed by hand.
 *
 * @throws UsageError when the cards are not those of the documents' sources
 */
export async function describeCorpus(store: Store, ref: ArtifactRef, cards: readonly DataCard[], publication: Publication): Promise<DatasetDescription> {
  if (ref.kind !== "documents") throw new UsageError(`artifact ${ref.digest.slice(0, 12)}: expected documents, found ${ref.kind}`);
  const documentsOf = new Map<string, number>();
  const licenses = new Set<string>();
  for await (const { source, license } of readDocuments(await store.artifacts.file(ref, DOCUMENTS_FILE))) {
    documentsOf.set(source, (documentsOf.get(source) ?? 0) + 1);
    licenses.add(license);
  }
  checkCards(cards, [...documentsOf.keys()]);
  const { run } = await lineageOf(store, ref.digest);
  const words = (textOf: (card: DataCard) => string) => cards.map((card) => `${card.id}: ${textOf(card).trim()}`).join("\n");
  return {
    ...publication,
    description: words(({ id, title, version, description }) => `${title}, version ${version}, ${documentsOf.get(id)} documents. ${description}`),
    identifier: `sha256:${ref.digest}`,
    licenses: [...licenses].sort(),
    datePublished: run.finishedFrom.cost.startedAt.slice(0, 10),
    files: (await store.artifacts.manifest(ref)).files,
    responsibleAi: {
      dataCollection: words(({ selection }) => selection),
      personalSensitiveInformation: words(({ personalData }) => personalData),
      dataLimitations: words(({ knownGaps, benchmarkOverlap, unfitUses }) => `${knownGaps} ${benchmarkOverlap} Unfit for: ${unfitUses}`),
      dataUseCases: words(({ fitUses }) => fitUses),
    },
  };
}

function checkCards(cards: readonly DataCard[], sources: readonly string[]): void {
  const [given, needed] = [cards.map(({ id }) => id), sources].map((ids) => ids.toSorted().join(", ")) as [string, string];
  if (given !== needed) throw new UsageError(`--card: expected the cards of ${needed}, found ${given === "" ? "none" : `those of ${given}`}`);
}
