import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DataCard } from "../src/data-card.ts";
import { stringify } from "yaml";
import { temporaryDirectory } from "./temporary-directory.ts";
import { tinyCard } from "./tiny-card.ts";

export interface TableRow {
  readonly content: string;
  readonly path: string;
  readonly license?: string;
  readonly repo?: string;
  readonly stars?: number;
  readonly at?: string;
}

/** A folder with a table of JSON lines under a card, and the recipe's word for it. */
export async function tableCorpus(rows: readonly TableRow[], changes: Partial<DataCard> = {}) {
  const baseDirectory = await temporaryDirectory();
  await addTable(baseDirectory, "tiny", rows, changes);
  return { baseDirectory, source: { card: "tiny.yaml" } };
}

export async function addTable(baseDirectory: string, id: string, rows: readonly TableRow[], changes: Partial<DataCard> = {}): Promise<void> {
  const { directory: _, sha256: __, counts: ___, ...card } = tinyCard({ id, include: ["**/*"], ...changes });
  const columns = { content: "content", path: "path", license: "license", repository: "repo", stars: "stars", committedAt: "at" };
  const origin = { kind: "table", files: [{ path: `${id}.jsonl` }], columns, license: "LicenseRef-unknown" };
  await mkdir(baseDirectory, { recursive: true });
  await writeFile(join(baseDirectory, `${id}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await writeFile(join(baseDirectory, `${id}.yaml`), stringify({ ...card, origin }));
}

/** A Python program of its own for each name: enough words and lines, and logic, for every quality rule. */
export function program(name: string, lines = 12): string {
  const body = Array.from({ length: lines }, (_, i) => `    if ${name}_total${i} > ${i + 3}:\n        ${name}_total${i + 1} = ${name}_total${i} + limit * ${i}`);
  return `"""Totals of ${name}."""\n\n\ndef sum_${name}(limit, ${name}_total0):\n${body.join("\n")}\n    return ${name}_total${lines}\n`;
}
