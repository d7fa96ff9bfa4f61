import { join } from "node:path";
import type { DocumentPool } from "../document-pool.ts";
import type { Documents, Hit, InnerStage } from "../inner-stage.ts";
import { clusterPairs, type ComparedPair } from "../near-duplicates/clusters.ts";
import { findNearDuplicates } from "../near-duplicates/find-near-duplicates.ts";
import { DocumentTable } from "../near-duplicates/keeper-order.ts";
import { nearDuplicateGroups, type Policy } from "../policy.ts";

/**
 * Pairs of like documents. The table holds every pair that was compared, with its Jaccard similarity, also those below
 * the threshold; which document of a cluster stays is judged, among those that no earlier stage drops.
 */
export const nearDuplicates: InnerStage = {
  name: "near-duplicates",
  module: import.meta.filename,
  scope: "corpus",
  columns: { other_doc_id: "text", similarity: "number", group: "count" },
  prepare: (policy, { scratchDir, signal }) => {
    const groups = nearDuplicateGroups(policy);
    if (groups.length === 0) return undefined;
    const { keeper } = policy;
    return {
      settings: { keeper, groups: groups.map(({ scheme, sources }) => ({ scheme: { ...scheme }, sources: [...sources] })) },
      async *rows(pool) {
        for (const [group, { threshold, scheme, sources }] of groups.entries()) {
          const directory = join(scratchDir, `near-duplicates-${group}`);
          const found = await findNearDuplicates(textsOf(pool, sources), { directory, threshold, scheme, keeper, execution: { workers: policy.workers }, signal });
          for (const { firstId, secondId, similarity } of found.candidates()) yield { doc_id: firstId, other_doc_id: secondId, similarity, group };
        }
      },
    };
  },
  async *judge(rows, policy, { pool, isKept }) {
    const groups = nearDuplicateGroups(policy).map((group) => new Group(group, policy, pool, isKept));
    for await (const { doc_id, other_doc_id, similarity, group } of rows) groups[group as number]!.add(doc_id as string, other_doc_id as string, similarity as number);
    for (const group of groups) yield* group.hits();
  },
};

async function* textsOf(pool: Documents, sources: readonly string[]) {
  for await (const { docId, source, repository, stars } of pool.visit()) {
    if (sources.includes(source)) yield { id: docId, text: pool.text(docId), repository, stars };
  }
}

/** Like pairs of documents that are still in, and the clusters they make. */
class Group {
  readonly #threshold: number;
  readonly #clusters: Policy["clusters"];
  readonly #ids: string[];
  readonly #rankOf: Map<string, number>;
  readonly #pairs: ComparedPair[] = [];

  constructor({ threshold, sources }: { threshold: number; sources: readonly string[] }, { clusters, keeper }: Policy, pool: DocumentPool, isKept: (docId: string) => boolean) {
    const table = new DocumentTable(keeper);
    const ids: string[] = [];
    for (const { docId, source, repository, stars } of pool.documents()) {
      if (!sources.includes(source) || !isKept(docId)) continue;
      table.add({ id: docId, repository, stars });
      ids.push(docId);
    }
    const { order } = table.keeperOrder();
    this.#threshold = threshold;
    this.#clusters = clusters;
    this.#ids = order === undefined ? ids : Array.from(order, (document) => ids[document]!);
    this.#rankOf = new Map(this.#ids.map((id, rank) => [id, rank]));
  }

  add(one: string, other: string, similarity: number): void {
    const [a, b] = [this.#rankOf.get(one), this.#rankOf.get(other)];
    if (similarity < this.#threshold || a === undefined || b === undefined) return;
    this.#pairs.push({ first: Math.min(a, b), second: Math.max(a, b), similarity });
  }

  *hits(): Generator<Hit> {
    const pairs = this.#pairs.sort((a, b) => a.first - b.first || a.second - b.second);
    const { kept, similarity } = clusterPairs(this.#clusters, this.#ids.length, pairs);
    for (const [rank, docId] of this.#ids.entries()) {
      if (kept[rank] === rank) continue;
      yield { docId, reason: "near-duplicate", value: similarity[rank]!, most: this.#threshold, of: this.#ids[kept[rank]!]! };
    }
  }
}
