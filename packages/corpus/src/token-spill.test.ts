import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../test/temporary-directory.ts";
import { packByRepository } from "./pack-repositories.ts";
import { TokenSpill } from "./token-spill.ts";

const name = fc.string({ unit: fc.constantFrom("a", "/", "ö", "😀"), maxLength: 5 });
const documents = fc.array(
  fc.record({
    docId: fc.stringMatching(/^[0-3]{8}[0-9a-f]{24}$/), // many share their first bits
    source: name,
    language: name,
    split: fc.constantFrom("train" as const, "validation" as const),
    tokens: fc.uint8Array({ maxLength: 40 }).map((bytes) => Uint32Array.from(bytes, (byte) => byte * 0x1010101)),
    path: name,
  }),
  { maxLength: 30 },
);

async function spilled(rows: readonly (Parameters<TokenSpill["append"]>[0] & { path: string })[]): Promise<TokenSpill> {
  const spill = new TokenSpill(join(await temporaryDirectory(), "tokens"));
  for (const { path, ...row } of rows) spill.append(row, path);
  return spill;
}

test("documents come back in any order, heads and paths apart", async () => {
  await fc.assert(
    fc.asyncProperty(documents, async (rows) => {
      const spill = await spilled(rows);
      expect(spill.length).toBe(rows.length);
      for (const [index, { path, split, tokens, ...rest }] of [...rows.entries()].reverse()) {
        expect(spill.path(index)).toBe(path);
        expect(spill.read(index)).toEqual({ ...rest, tokens });
        expect(spill.head(index)).toEqual({ ...rest, split });
      }
      spill.close();
    }),
    { numRuns: 30 },
  );
});

test("more documents than the first room is for, and one larger than the first buffer", async () => {
  const one = { docId: "0".repeat(32), source: "s", language: "l", split: "train" as const };
  const spill = await spilled(Array.from({ length: 3000 }, (_, i) => ({ ...one, tokens: Uint32Array.of(i), path: String(i) })));
  spill.append({ ...one, tokens: new Uint32Array(1 << 17).fill(7) }, "large");
  expect([0, 1023, 1024, 2999].map((index) => [...spill.read(index).tokens, spill.path(index)])).toEqual([0, 1023, 1024, 2999].map((index) => [index, String(index)]));
  expect(spill.read(3000).tokens.every((token) => token === 7)).toBe(true);
  spill.close();
});

test("packing gives the order of its definition: groups where their first one stood, by path inside", async () => {
  const repository = fc.constantFrom(undefined, "one", "two", "three");
  await fc.assert(
    fc.asyncProperty(documents.filter((rows) => new Set(rows.map(({ docId }) => docId)).size === rows.length), fc.array(repository, { minLength: 30, maxLength: 30 }), async (rows, repositories) => {
      const spill = await spilled(rows.map((row, i) => ({ ...row, path: `${row.path}${i}` })));
      // Other files of equal texts tell nothing: another path, or another source.
      const files = rows.flatMap(({ docId, source, path }, i) => [
        { doc_id: docId, source, path: `${path}${i}`, repository: repositories[i] },
        { doc_id: docId, source, path: `${path}${i}x`, repository: "other" },
        { doc_id: docId, source: `${source}x`, path: `${path}${i}`, repository: "other" },
        { source, path, repository: "other" },
      ]);
      async function* table() {
        yield* files;
      }
      const groups = Map.groupBy(rows.keys(), (i) => (repositories[i] === undefined ? i : `${rows[i]!.source}\n${repositories[i]}`));
      const pathOf = (i: number) => `${rows[i]!.path}${i}`;
      const expected = [...groups.values()].flatMap((group) => [...group].sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1)));
      expect([...(await packByRepository(spill, table()))]).toEqual(expected);
      spill.close();
    }),
    { numRuns: 60 },
  );
});
