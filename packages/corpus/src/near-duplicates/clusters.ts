/**
 * How likeness makes clusters.
 *
 * - `star`: in keeper order, each document that is not yet removed stays and removes its direct neighbours; likeness is
 *   not passed on through a third.
 * - `components`: all that hangs together is one cluster, of which the first in keeper order stays.
 */
export type ClusterRule = "star" | "components";

export const CLUSTER_RULES = ["star", "components"] as const satisfies readonly ClusterRule[];

/** Two documents by rank, `first` before `second` in keeper order, and what they share. */
export interface ComparedPair {
  readonly first: number;
  readonly second: number;
  readonly similarity: number;
}

/** What becomes of the document at each rank. */
export interface Clustering {
  /** Rank of the document that stays for it; its own when it stays. */
  readonly kept: Uint32Array;
  /** Rank of the neighbour it is most like: the one that stays in a star, any in a component; its own where it has none. */
  readonly nearest: Uint32Array;
  /** Similarity to that neighbour. */
  readonly similarity: Float64Array;
}

/** @param pairs like pairs, sorted by first, then second */
export function clusterPairs(rule: ClusterRule, documents: number, pairs: Iterable<ComparedPair>): Clustering {
  const clustering: Clustering = { kept: ownRanks(documents), nearest: ownRanks(documents), similarity: new Float64Array(documents) };
  if (rule === "star") starClusters(clustering, pairs);
  else connectedComponents(clustering, pairs);
  return clustering;
}

const ownRanks = (length: number): Uint32Array => {
  const ranks = new Uint32Array(length);
  for (let rank = 0; rank < length; rank++) ranks[rank] = rank;
  return ranks;
};

/** When the pairs of a document as first come, all pairs that could remove it have been seen. */
function starClusters({ kept, nearest, similarity }: Clustering, pairs: Iterable<ComparedPair>): void {
  for (const pair of pairs) {
    const { first, second } = pair;
    if (kept[first] !== first || pair.similarity <= similarity[second]!) continue;
    kept[second] = first;
    nearest[second] = first;
    similarity[second] = pair.similarity;
  }
}

/** Union-find in which the lesser rank is the root. */
function connectedComponents({ kept, nearest, similarity }: Clustering, pairs: Iterable<ComparedPair>): void {
  const rootOf = (rank: number): number => {
    while (kept[rank] !== rank) rank = kept[rank] = kept[kept[rank]!]!;
    return rank;
  };
  const note = (rank: number, neighbour: number, found: number) => {
    if (found <= similarity[rank]!) return;
    nearest[rank] = neighbour;
    similarity[rank] = found;
  };
  for (const { first, second, similarity: found } of pairs) {
    note(first, second, found);
    note(second, first, found);
    const [a, b] = [rootOf(first), rootOf(second)];
    if (a < b) kept[b] = a;
    else kept[a] = b;
  }
  for (let rank = 0; rank < kept.length; rank++) kept[rank] = rootOf(rank);
}
