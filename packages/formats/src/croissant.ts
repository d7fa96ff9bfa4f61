import { DOCUMENTS_FILE, type DocumentRow } from "./documents.ts";

/** A file of a dataset as its manifest has it. */
export interface DatasetFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** What a reader of a published corpus wants to know before opening it. */
export interface DatasetDescription {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  /** Digest of the artifact. */
  readonly identifier: string;
  /** SPDX expressions of the documents. */
  readonly licenses: readonly string[];
  readonly url: string;
  readonly creators: readonly string[];
  /** ISO 8601. */
  readonly datePublished: string;
  readonly files: readonly DatasetFile[];
  /** By term of the Responsible AI vocabulary, such as `personalSensitiveInformation`. */
  readonly responsibleAi: Readonly<Record<string, string>>;
}

/**
 * JSON-LD that describes a corpus of documents, its files, and the columns of `documents.parquet`. File locations are
 * relative to where it lies: beside the files.
 *
 * @source Croissant format specification 1.1, docs.mlcommons.org/croissant/docs/croissant-spec-1.1; Croissant RAI 1.0
 */
export function croissantOf({ name, description, version, identifier, licenses, url, creators, datePublished, files, responsibleAi }: DatasetDescription): object {
  return {
    "@context": CONTEXT,
    "@type": "sc:Dataset",
    conformsTo: ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
    name,
    description,
    version,
    identifier,
    license: licenses,
    url,
    creator: creators.map((creator) => ({ "@type": "sc:Organization", name: creator })),
    datePublished,
    citeAs: `@misc{${name}, title={${name}}, author={${creators.join(" and ")}}, year={${datePublished.slice(0, 4)}}, version={${version}}, url={${url}}}`,
    ...Object.fromEntries(Object.entries(responsibleAi).map(([term, text]) => [`rai:${term}`, text])),
    distribution: files.map(({ path, sha256, bytes }) => ({
      "@type": "cr:FileObject",
      "@id": path,
      name: path,
      contentUrl: path,
      contentSize: `${bytes} B`,
      encodingFormat: ENCODINGS[path.split(".").at(-1)!] ?? "application/octet-stream",
      sha256,
    })),
    recordSet: [
      {
        "@type": "cr:RecordSet",
        "@id": "documents",
        name: "documents",
        description: "One source file a record.",
        key: { "@id": "documents/docId" },
        field: Object.entries(COLUMNS).map(([column, meaning]) => ({
          "@type": "cr:Field",
          "@id": `documents/${column}`,
          name: column,
          description: meaning,
          dataType: "sc:Text",
          source: { fileObject: { "@id": DOCUMENTS_FILE }, extract: { column } },
        })),
      },
    ],
  };
}

const ENCODINGS: Readonly<Record<string, string>> = {
  parquet: "application/x-parquet",
  jsonl: "application/jsonlines",
  json: "application/json",
  arrow: "application/vnd.apache.arrow.file",
  html: "text/html",
  md: "text/markdown",
};

const COLUMNS: Readonly<Record<keyof DocumentRow, string>> = {
  docId: "First 128 bits of the text's sha256, in hexadecimal.",
  source: "Id of the data card of the source it came from.",
  path: "Path within the source.",
  language: "Programming language.",
  license: "SPDX expression.",
  split: "train or validation.",
  text: "The document.",
};

/** The context that the specification gives. */
const CONTEXT = {
  "@language": "en",
  "@vocab": "https://schema.org/",
  arrayShape: "cr:arrayShape",
  citeAs: "cr:citeAs",
  column: "cr:column",
  conformsTo: "dct:conformsTo",
  containedIn: "cr:containedIn",
  cr: "http://mlcommons.org/croissant/",
  rai: "http://mlcommons.org/croissant/RAI/",
  data: { "@id": "cr:data", "@type": "@json" },
  dataType: { "@id": "cr:dataType", "@type": "@vocab" },
  dct: "http://purl.org/dc/terms/",
  description: { "@container": "@language" },
  equivalentProperty: "cr:equivalentProperty",
  examples: { "@id": "cr:examples", "@type": "@json" },
  extract: "cr:extract",
  field: "cr:field",
  fileObject: "cr:fileObject",
  fileProperty: "cr:fileProperty",
  fileSet: "cr:fileSet",
  format: "cr:format",
  includes: "cr:includes",
  isArray: "cr:isArray",
  isLiveDataset: "cr:isLiveDataset",
  jsonPath: "cr:jsonPath",
  key: "cr:key",
  md5: "cr:md5",
  name: { "@container": "@language" },
  parentField: "cr:parentField",
  path: "cr:path",
  recordSet: "cr:recordSet",
  references: "cr:references",
  regex: "cr:regex",
  repeated: "cr:repeated",
  replace: "cr:replace",
  samplingRate: "cr:samplingRate",
  sc: "https://schema.org/",
  separator: "cr:separator",
  source: "cr:source",
  subField: "cr:subField",
  transform: "cr:transform",
};
