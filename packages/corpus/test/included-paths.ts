import type { DataCard } from "../src/data-card.ts";
import { DocumentPool } from "../src/document-pool.ts";
import { readSlice } from "../src/sources/read-slice.ts";
import { SourceTotals, slicesOf } from "../src/sources/read-source.ts";
import { CardCheck } from "../src/waivers.ts";
import { emptyStore } from "./run-stages.ts";
import { temporaryDirectory } from "./temporary-directory.ts";

/** Reads a source whole and compares it with its card. @returns paths of the included files */
export async function includedPaths(card: DataCard, check = new CardCheck()): Promise<string[]> {
  const context = { pieces: (await emptyStore()).pieces, scratchDir: await temporaryDirectory() };
  const [pool, totals, paths] = [await DocumentPool.create({ keeper: "first" }), new SourceTotals(), [] as string[]];
  for await (const entries of slicesOf(card, check)) {
    const slice = await readSlice({ card, source: card.sha256, number: paths.length, entries, context, breathe: async () => {} });
    await pool.add(card.id, slice, (record, isPlaceFree) => {
      totals.add(record, isPlaceFree);
      if (record.role === "included") paths.push(record.path);
    });
  }
  totals.check(card, check);
  return paths;
}
