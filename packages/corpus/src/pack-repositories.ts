import type { DocumentRow } from "@diffucoder/formats";
import type { ArtifactRef, ArtifactStore } from "@diffucoder/lineage";
import { readTable } from "./attribute-table.ts";
import { FILES_TABLE } from "./document-pool.ts";

/** Repository of each document of a corpus, by id, as its table of files tells; documents without one are left out. */
export async function repositories(corpus: ArtifactRef, artifacts: ArtifactStore): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for await (const { doc_id, source, path, repository } of readTable(await artifacts.file(corpus, `attributes/${FILES_TABLE}.parquet`))) {
    if (typeof doc_id === "string" && typeof repository === "string") found.set(keyOf(doc_id, source as string, path as string), repository);
  }
  return found;
}

const keyOf = (docId: string, source: string, path: string): string => `${docId} ${source} ${path}`;

/** Files of one repository one after the other, by path, where its first one stood; the others stay where they are. */
export function packByRepository(rows: readonly DocumentRow[], repositoryOf: ReadonlyMap<string, string>): DocumentRow[] {
  const groups = Map.groupBy(rows, ({ docId, source, path }) => {
    const repository = repositoryOf.get(keyOf(docId, source, path));
    return repository === undefined ? docId : `${source}\n${repository}`;
  });
  return [...groups.values()].flatMap((group) => group.sort((a, b) => (a.path < b.path ? -1 : 1)));
}
