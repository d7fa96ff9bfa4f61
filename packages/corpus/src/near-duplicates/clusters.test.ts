import fc from "fast-check";
import { expect, test } from "vitest";
import { clusterPairs, type ComparedPair } from "./clusters.ts";

const pair = (first: number, second: number, similarity: number): ComparedPair => ({ first, second, similarity });
const plain = ({ kept, nearest, similarity }: ReturnType<typeof clusterPairs>) => ({ kept: [...kept], nearest: [...nearest], similarity: [...similarity] });

test("a star does not pass likeness on; a component does", () => {
  // 0 is like 1, 1 like 2, 2 like 3.
  const chain = [pair(0, 1, 0.9), pair(1, 2, 0.85), pair(2, 3, 0.95)];
  expect(plain(clusterPairs("star", 5, chain))).toEqual({ kept: [0, 0, 2, 2, 4], nearest: [0, 0, 2, 2, 4], similarity: [0, 0.9, 0, 0.95, 0] });
  expect(plain(clusterPairs("components", 5, chain))).toEqual({ kept: [0, 0, 0, 0, 4], nearest: [1, 0, 3, 2, 4], similarity: [0.9, 0.9, 0.95, 0.95, 0] });
});

test("what several keep goes to the one it is most like, and to the first of equal ones", () => {
  expect([...clusterPairs("star", 4, [pair(0, 3, 0.8), pair(1, 3, 0.9), pair(2, 3, 0.9)]).kept]).toEqual([0, 1, 2, 1]);
});

const pairsOf = fc
  .uniqueArray(fc.tuple(fc.nat(11), fc.nat(11), fc.double({ min: 0.5, max: 1, noNaN: true })), { selector: ([a, b]) => `${Math.min(a, b)} ${Math.max(a, b)}`, maxLength: 30 })
  .map((edges) =>
    edges
      .filter(([a, b]) => a !== b)
      .map(([a, b, similarity]) => pair(Math.min(a, b), Math.max(a, b), similarity))
      .sort((x, y) => x.first - y.first || x.second - y.second),
  );

test("stars are those of one document after the other being compared with all that stay", () => {
  fc.assert(
    fc.property(pairsOf, (pairs) => {
      const kept: number[] = [];
      for (let rank = 0; rank < 12; rank++) if (!pairs.some(({ first, second }) => second === rank && kept.includes(first))) kept.push(rank);
      const clustering = clusterPairs("star", 12, pairs);
      expect([...clustering.kept.keys()].filter((rank) => clustering.kept[rank] === rank)).toEqual(kept);
      for (let rank = 0; rank < 12; rank++) {
        if (clustering.kept[rank] === rank) continue;
        const best = Math.max(...pairs.filter(({ first, second }) => second === rank && kept.includes(first)).map(({ similarity }) => similarity));
        expect(clustering.similarity[rank]).toBe(best);
        expect(pairs).toContainEqual(pair(clustering.kept[rank]!, rank, best));
      }
    }),
  );
});

test("components are those of reachability, named by their first", () => {
  fc.assert(
    fc.property(pairsOf, (pairs) => {
      const reach = Array.from({ length: 12 }, (_, rank) => rank);
      for (let round = 0; round < 12; round++) for (const { first, second } of pairs) reach[first] = reach[second] = Math.min(reach[first]!, reach[second]!);
      expect([...clusterPairs("components", 12, pairs).kept]).toEqual(reach);
    }),
  );
});
