import { expect, test } from "vitest";
import { croissantOf, type DatasetDescription } from "./croissant.ts";

const DESCRIPTION: DatasetDescription = {
  name: "corpus",
  description: "Files.",
  version: "1.2.0",
  identifier: "sha256:ab",
  licenses: ["MIT"],
  url: "https://example.org",
  creators: ["A", "B"],
  datePublished: "2026-01-31",
  files: [
    { path: "documents.parquet", sha256: "a".repeat(64), bytes: 10 },
    { path: "report/index.html", sha256: "b".repeat(64), bytes: 20 },
    { path: "odd", sha256: "c".repeat(64), bytes: 0 },
  ],
  responsibleAi: { dataLimitations: "Few." },
};

test("a corpus in Croissant's words: what, by whom, under which licence, in which files", () => {
  expect(croissantOf(DESCRIPTION)).toMatchObject({
    "@type": "sc:Dataset",
    conformsTo: ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
    name: "corpus",
    version: "1.2.0",
    identifier: "sha256:ab",
    license: ["MIT"],
    creator: [{ name: "A" }, { name: "B" }],
    citeAs: "@misc{corpus, title={corpus}, author={A and B}, year={2026}, version={1.2.0}, url={https://example.org}}",
    "rai:dataLimitations": "Few.",
    distribution: [
      { "@id": "documents.parquet", contentUrl: "documents.parquet", contentSize: "10 B", encodingFormat: "application/x-parquet", sha256: "a".repeat(64) },
      { "@id": "report/index.html", encodingFormat: "text/html", sha256: "b".repeat(64) },
      { "@id": "odd", encodingFormat: "application/octet-stream", contentSize: "0 B" },
    ],
  });
});

test("every column of the documents is a field", () => {
  const { recordSet } = croissantOf(DESCRIPTION) as { recordSet: { key: object; field: { source: { extract: { column: string } } }[] }[] };
  expect(recordSet[0]!.key).toEqual({ "@id": "documents/docId" });
  expect(recordSet[0]!.field.map(({ source }) => source.extract.column)).toEqual(["docId", "source", "path", "language", "license", "split", "text"]);
  expect(recordSet[0]!.field[0]).toMatchObject({ source: { fileObject: { "@id": "documents.parquet" } } });
});
