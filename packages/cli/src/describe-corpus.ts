import type { DataCard } from "@diffucoder/corpus";
import { DOCUMENTS_FILE, readDocuments, type DatasetDescription } from "@diffucoder/formats";
import { lineageOf, type ArtifactRef, type JsonValue, type LineageNode, type Store } from "@diffucoder/lineage";
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
  const { run, sources } = await runOf(store, ref);
  const documentsOf = new Map<string, number>();
  const licenses = new Set<string>();
  for await (const { source, license } of readDocuments(await store.artifacts.file(ref, DOCUMENTS_FILE))) {
    documentsOf.set(source, (documentsOf.get(source) ?? 0) + 1);
    licenses.add(license);
  }
  checkCards(cards, [...documentsOf.keys()]);
  for (const card of cards) checkIdentity(card, sources);
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

/** What a run of the corpus stage found in a source, after it had compared it with its card. */
export interface CheckedSource {
  /** Digest of the documents. */
  readonly corpus: string;
  readonly on: string;
  readonly filesRead: number;
  readonly documents: Readonly<Record<string, number>>;
  readonly dropped: Readonly<Record<string, number>>;
  /** Differences from the card that the recipe let pass. */
  readonly waivers: readonly JsonValue[];
}

/** @throws UsageError when the run read another card, or the card has been changed since */
export async function checkedSource(store: Store, ref: ArtifactRef, card: DataCard): Promise<CheckedSource> {
  const { run, sources } = await runOf(store, ref);
  checkIdentity(card, sources);
  const documents: Record<string, number> = {};
  for await (const { source, split } of readDocuments(await store.artifacts.file(ref, DOCUMENTS_FILE))) {
    if (source === card.id) documents[split] = (documents[split] ?? 0) + 1;
  }
  const { droppedBySource = {}, waivers = [] } = run.finishedFrom.summary as { droppedBySource?: Record<string, number>; waivers?: ({ card: string } & Record<string, JsonValue>)[] };
  const own = Object.entries(droppedBySource).filter(([name]) => name.startsWith(`${card.id} `));
  const dropped = Object.fromEntries(own.map(([name, files]) => [name.slice(card.id.length + 1), files]));
  return {
    corpus: ref.digest,
    on: run.finishedFrom.cost.startedAt.slice(0, 10),
    filesRead: [...Object.values(documents), ...Object.values(dropped)].reduce((sum, files) => sum + files, 0),
    documents,
    dropped,
    waivers: waivers.filter((waiver) => waiver.card === card.id),
  };
}

async function runOf(store: Store, ref: ArtifactRef): Promise<LineageNode> {
  if (ref.kind !== "documents") throw new UsageError(`artifact ${ref.digest.slice(0, 12)}: expected documents, found ${ref.kind}`);
  return lineageOf(store, ref.digest);
}

/** A source's identity begins with the digest of its card. */
function checkIdentity({ id, sha256 }: DataCard, sources: Readonly<Record<string, string>>): void {
  if (Object.values(sources).some((identity) => identity.startsWith(sha256))) return;
  throw new UsageError(`card ${id}: expected one that the run of this corpus was checked against, found another text. Take the card as it was then, or run the corpus stage again.`);
}
