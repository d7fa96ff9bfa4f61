// A corpus' Croissant JSON-LD in the hands of mlcroissant: it checks the description and reads the rows by it.
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DOCUMENTS_FILE, croissantOf, docIdOf, writeDocuments, type DatasetDescription, type DocumentRow } from "@diffucoder/formats";
import { sha256 } from "@diffucoder/lineage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pythonPeer } from "./peers.ts";

const MINUTES = 60_000;
const ROWS: readonly DocumentRow[] = ["print(1)\n", "x = 'naïve €'\n", "def f():\n    return 2\n"].map((text, i) => ({
  docId: docIdOf(text),
  source: "card",
  path: `f${i}.py`,
  language: "python",
  license: i === 0 ? "MIT" : "Apache-2.0",
  split: i === 2 ? "validation" : "train",
  text,
}));

let folder: string;
let description: DatasetDescription;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "croissant-"));
  await writeDocuments(folder, ROWS);
  await writeFile(join(folder, "drops.jsonl"), "{}\n");
  const files = await Promise.all(
    [DOCUMENTS_FILE, "drops.jsonl"].map(async (path) => {
      const content = await readFile(join(folder, path));
      return { path, sha256: sha256(content), bytes: content.length };
    }),
  );
  description = {
    name: "three-programs",
    description: "Three small programs.",
    version: "1.0.0",
    identifier: `sha256:${"0".repeat(64)}`,
    licenses: ["Apache-2.0", "MIT"],
    url: "https://example.org/three-programs",
    creators: ["Example"],
    datePublished: "2026-01-31",
    files,
    responsibleAi: { dataCollection: "By hand.", personalSensitiveInformation: "None.", dataLimitations: "Few.", dataUseCases: "Tests." },
  };
});
afterAll(() => rm(folder, { recursive: true }));

async function read(json: object): Promise<unknown> {
  const path = join(folder, "croissant.json");
  await writeFile(path, JSON.stringify(json));
  const python = pythonPeer("mlcroissant-1.1.1", ["mlcroissant==1.1.1", "pyarrow==26.0.1"]);
  return JSON.parse(execFileSync(python, [join(import.meta.dirname, "croissant_peer.py"), path], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }));
}

test(
  "mlcroissant accepts it without an error or warning, and reads every row",
  async () => {
    expect(await read(croissantOf(description))).toEqual({ errors: [], warnings: [], digests: { "documents.parquet": true, "drops.jsonl": true }, name: "three-programs", license: ["Apache-2.0", "MIT"], records: ROWS });
  },
  5 * MINUTES,
);

test(
  "and refuses one that reads a column or a file that is not there",
  async () => {
    const altered = (from: string, to: string) => JSON.parse(JSON.stringify(croissantOf(description)).replace(from, to)) as object;
    await expect(read(altered('{"column":"text"}', '{"column":"body"}'))).rejects.toThrow(/body/);
    await expect(read(altered('"fileObject":{"@id":"documents.parquet"}', '"fileObject":{"@id":"other.parquet"}'))).rejects.toThrow(/other\.parquet/);
  },
  MINUTES,
);
