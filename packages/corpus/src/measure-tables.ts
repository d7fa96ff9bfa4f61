import { copyFile, open } from "node:fs/promises";
import { join } from "node:path";
import { codeIdentity, type PartContext, type Piece } from "@diffucoder/lineage";
import { tablePath, writeTable, type Columns, type Row } from "./attribute-table.ts";
import { DocumentPool } from "./document-pool.ts";
import type { InnerStage, Measurement } from "./inner-stage.ts";
import type { KeeperRule } from "./near-duplicates/keeper-order.ts";
import { readLines, type ReadSlice } from "./sources/read-slice.ts";

/** What a stage would do, and what it needs for that. */
export interface Measuring {
  readonly stage: InnerStage;
  readonly measurement: Measurement;
  readonly keeper: KeeperRule;
  readonly context: Pick<PartContext, "pieces" | "scratchDir">;
  /** Lets others work, and tells what is being done. */
  readonly breathe: (note: string) => Promise<void>;
}

/** Writes a stage's table into a folder. What the same code has measured of the same documents with the same settings is found. */
export async function measureTable(measuring: Measuring, pool: DocumentPool, folder: string): Promise<void> {
  const { stage, measurement, context } = measuring;
  const path = tablePath(folder, stage.name);
  if (stage.scope === "document") {
    await writeTable(path, columnsOf(stage), rowsOfSlices(measuring, pool));
    return;
  }
  const facts = { ...(await factsOf(measuring)), documents: pool.digest };
  const piece = await context.pieces.findOrMake(facts, context.scratchDir, async (directory) => {
    await writeTable(tablePath(directory, stage.name), columnsOf(stage), measurement.rows(pool));
  });
  await copyFile(piece.files[`${stage.name}.parquet`]!.location, path);
}

/**
 * What a stage of scope `document` finds in a slice, as if there were no other, as a piece.
 *
 * @param note which slice it is
 */
export async function measureSlice(measuring: Measuring, slice: ReadSlice, note: string): Promise<Piece> {
  const { measurement, keeper, context, breathe } = measuring;
  // The records hold the ids of the texts, so their digest stands for both.
  const facts = { ...(await factsOf(measuring)), keeper, slice: slice.files["files.jsonl"]!.sha256 };
  return context.pieces.findOrMake(facts, context.scratchDir, async (directory) => {
    const file = await open(join(directory, ROWS), "wx");
    const pool = await DocumentPool.create({ keeper, breathe: () => breathe(note) });
    try {
      await pool.add("", slice);
      for await (const row of measurement.rows(pool)) await file.write(`${JSON.stringify(row)}\n`);
    } finally {
      pool.close();
      await file.close();
    }
  });
}

const ROWS = "rows.jsonl";

const columnsOf = ({ columns }: InnerStage): Columns => ({ doc_id: "text", ...columns });

async function factsOf({ stage, measurement }: Measuring) {
  const { digest: code } = await codeIdentity({ entry: stage.module, ...(stage.assets === undefined ? {} : { assets: stage.assets }) });
  return { unit: "corpus table", stage: stage.name, code, columns: columnsOf(stage), settings: measurement.settings };
}

/** Rows of all documents in the pool's order, from what was found slice by slice. */
async function* rowsOfSlices(measuring: Measuring, pool: DocumentPool): AsyncGenerator<Row> {
  const apart = await rowsApart(measuring, pool);
  const documents = pool.documents();
  let next = documents.next();
  for (const [number, slice] of pool.slices.entries()) {
    const rows = await rowsById(await measureSlice(measuring, slice, `slice ${number + 1} of ${pool.slices.length}`));
    for (; next.done !== true && pool.whereabouts(next.value.docId).first === number; next = documents.next()) {
      const { docId } = next.value;
      yield* apart.get(docId) ?? rows.get(docId) ?? [];
    }
  }
}

/** Rows of documents for which a file of a later slice stands, or another file than the slice alone would tell. */
async function rowsApart(measuring: Measuring, pool: DocumentPool): Promise<Map<string, Row[]>> {
  const [elsewhere, unmeasured] = [new Map<number, string[]>(), new Map<string, Row[]>()];
  for (const { docId } of pool.documents()) {
    const { first, stands, isDoubtful } = pool.whereabouts(docId);
    if (isDoubtful) unmeasured.set(docId, []);
    else if (first !== stands) elsewhere.set(stands, elsewhere.get(stands) ?? []).get(stands)!.push(docId);
  }
  const apart = unmeasured;
  if (unmeasured.size > 0) {
    const documents = [...unmeasured.keys()].map((docId) => pool.get(docId)!);
    const some = { licenseFiles: [], documents: () => documents, visit: async function* () { yield* documents; }, text: (docId: string) => pool.text(docId) };
    for await (const row of measuring.measurement.rows(some)) unmeasured.get(row.doc_id as string)!.push(row);
  }
  for (const [number, docIds] of elsewhere) {
    const rows = await rowsById(await measureSlice(measuring, pool.slices[number]!, `slice ${number + 1} of ${pool.slices.length}`));
    for (const docId of docIds) apart.set(docId, rows.get(docId) ?? []);
  }
  return apart;
}

async function rowsById(piece: Piece): Promise<Map<string, Row[]>> {
  return Map.groupBy((await readLines(piece.files[ROWS]!.location)) as Row[], ({ doc_id: docId }) => docId as string);
}
