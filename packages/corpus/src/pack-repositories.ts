import type { Row } from "./attribute-table.ts";
import type { TokenSpill } from "./token-spill.ts";

/**
 * Order in which files of one repository lie one after the other, by path, where its first one stood; the others stay
 * where they are. Some 20 bytes for each document are in memory, and the paths of one repository.
 *
 * @param files rows of the corpus's table of files; each tells the repository of the document that it stands for
 * @returns indices into the spill
 */
export async function packByRepository(documents: TokenSpill, files: AsyncIterable<Row>): Promise<Uint32Array> {
  const repositoryOf = await findRepositories(documents, files);
  const firstOf = new Map<number, number>();
  const placeOf = repositoryOf.map((repository, index) => {
    if (repository === NONE) return index;
    if (!firstOf.has(repository)) firstOf.set(repository, index);
    return firstOf.get(repository)!;
  });
  // Sorted by place: counted, then put where the smaller places end.
  const ends = new Uint32Array(documents.length + 1);
  for (const place of placeOf) ends[place + 1]!++;
  for (let place = 0; place < documents.length; place++) ends[place + 1]! += ends[place]!;
  const order = new Uint32Array(documents.length);
  const next = ends.slice();
  placeOf.forEach((place, index) => (order[next[place]!++] = index));
  for (const first of firstOf.values()) sortByPath(documents, order.subarray(ends[first], ends[first + 1]));
  return order;
}

function sortByPath(documents: TokenSpill, order: Uint32Array): void {
  const members = Array.from(order, (index) => ({ index, path: documents.path(index) }));
  members.sort((a, b) => (a.path < b.path ? -1 : 1)).forEach(({ index }, i) => (order[i] = index));
}

/** A number for the repository of each document, or NONE. */
async function findRepositories(documents: TokenSpill, files: AsyncIterable<Row>): Promise<Uint32Array> {
  const slots = new DocumentSlots(documents);
  const numbers = new Map<string, number>();
  const repositoryOf = new Uint32Array(documents.length);
  for await (const { doc_id: docId, source, path, repository } of files) {
    if (typeof docId !== "string" || typeof repository !== "string") continue;
    const index = slots.find(docId, source as string, path as string);
    if (index === undefined) continue;
    const name = `${source}\n${repository}`;
    if (!numbers.has(name)) numbers.set(name, numbers.size + 1);
    repositoryOf[index] = numbers.get(name)!;
  }
  return repositoryOf;
}

const NONE = 0;

/** Finds documents by what they are; a hash table of numbers alone, for the documents lie on the disk. */
class DocumentSlots {
  readonly #documents: TokenSpill;
  /** Index of the document in each slot, plus 1; 0 is free. At most half of the slots are taken. */
  readonly #slots: Uint32Array;

  constructor(documents: TokenSpill) {
    this.#documents = documents;
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * documents.length + 1)));
    for (let index = 0; index < documents.length; index++) {
      let slot = this.#slotOf(documents.head(index).docId);
      while (this.#slots[slot] !== 0) slot = this.#behind(slot);
      this.#slots[slot] = index + 1;
    }
  }

  find(docId: string, source: string, path: string): number | undefined {
    for (let slot = this.#slotOf(docId); this.#slots[slot] !== 0; slot = this.#behind(slot)) {
      const index = this.#slots[slot]! - 1;
      const head = this.#documents.head(index);
      if (head.docId === docId && head.source === source && this.#documents.path(index) === path) return index;
    }
    return undefined;
  }

  /** Ids are digests: any of their bits are a hash. */
  #slotOf(docId: string): number {
    return Number.parseInt(docId.slice(0, 8), 16) & (this.#slots.length - 1);
  }

  #behind(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1);
  }
}
