import { sha256 } from "@diffucoder/lineage";
import { MOST_DOCUMENTS } from "./signed-file.ts";

/**
 * Which of several like documents stays.
 *
 * - `first`: the one that came first.
 * - `most-stars`: the one whose repository has the most stars; of equal ones the repository first by name, so that the
 *   files of one repository stay together; then the least id. It does not depend on the order of arrival.
 */
export type KeeperRule = "first" | "most-stars";

export const KEEPER_RULES = ["first", "most-stars"] as const satisfies readonly KeeperRule[];

/** The place of each document among all in keeper order; arrays are left out where that is the order of arrival. */
export interface KeeperOrder {
  readonly ranks?: Uint32Array;
  /** The document at each rank. */
  readonly order?: Uint32Array;
  readonly digest: string;
}

/** Ids and standing of documents as they arrive, 16 bytes and 8 more for each. */
export class DocumentTable {
  #ids = Buffer.alloc(16 << 10);
  #stars = new Float64Array(1);
  #repositories = new Uint32Array(1);
  readonly #repositoryNumbers = new Map<string, number>();
  readonly #rule: KeeperRule;
  #length = 0;

  constructor(rule: KeeperRule) {
    this.#rule = rule;
  }

  get length(): number {
    return this.#length;
  }

  /** @throws RangeError when the id is not 128 bits in hexadecimal, or the stars are no number from 0 */
  add({ id, repository = "", stars = 0 }: { readonly id: string; readonly repository?: string | undefined; readonly stars?: number | undefined }): void {
    if (!/^[0-9a-f]{32}$/.test(id)) throw new RangeError(`id: expected 32 hexadecimal digits, found ${id}`);
    if (!(stars >= 0)) throw new RangeError(`document ${id}, stars: expected a number from 0, found ${stars}`);
    if (this.#length === MOST_DOCUMENTS) throw new RangeError(`near-duplicates: expected at most ${MOST_DOCUMENTS} documents, found more. Divide them, by language for one.`);
    this.#makeRoom();
    this.#ids.write(id, this.#length * 16, "hex");
    if (this.#rule === "most-stars") {
      this.#stars[this.#length] = stars;
      this.#repositories[this.#length] = this.#numberOf(repository);
    }
    this.#length += 1;
  }

  idAt(document: number): string {
    return this.#ids.toString("hex", document * 16, document * 16 + 16);
  }

  keeperOrder(): KeeperOrder {
    if (this.#rule === "first") return { digest: "order of arrival" };
    const names = [...this.#repositoryNumbers.keys()];
    const placeByName = new Uint32Array(names.length);
    for (const [place, name] of names.toSorted().entries()) placeByName[this.#repositoryNumbers.get(name)!] = place;
    const order = Uint32Array.from({ length: this.#length }, (_, document) => document).sort(
      (a, b) =>
        this.#stars[b]! - this.#stars[a]! ||
        placeByName[this.#repositories[a]!]! - placeByName[this.#repositories[b]!]! ||
        this.#ids.compare(this.#ids, b * 16, b * 16 + 16, a * 16, a * 16 + 16) ||
        a - b,
    );
    const ranks = sharedArray(this.#length);
    for (let rank = 0; rank < order.length; rank++) ranks[order[rank]!] = rank;
    const shared = sharedArray(this.#length);
    shared.set(order);
    return { ranks, order: shared, digest: sha256(Buffer.from(order.buffer)) };
  }

  #numberOf(repository: string): number {
    const known = this.#repositoryNumbers.get(repository);
    if (known !== undefined) return known;
    this.#repositoryNumbers.set(repository, this.#repositoryNumbers.size);
    return this.#repositoryNumbers.size - 1;
  }

  #makeRoom(): void {
    if (this.#length * 16 < this.#ids.length && (this.#rule === "first" || this.#length < this.#stars.length)) return;
    const capacity = Math.max(1 << 10, this.#length + (this.#length >> 1));
    this.#ids = Buffer.concat([this.#ids], capacity * 16);
    if (this.#rule === "first") return;
    this.#stars = enlarged(this.#stars, new Float64Array(capacity));
    this.#repositories = enlarged(this.#repositories, new Uint32Array(capacity));
  }
}

function enlarged<T extends Float64Array | Uint32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** Threads see it without a copy. */
const sharedArray = (length: number): Uint32Array => new Uint32Array(new SharedArrayBuffer(length * 4));
