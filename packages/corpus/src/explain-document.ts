import { openShards } from "@diffucoder/formats";
import { StageError, type ArtifactRef, type Binding, type Store } from "@diffucoder/lineage";
import { readTable, type Row } from "./attribute-table.ts";
import { corpusRecipeSchema } from "./config.ts";
import { FILES_TABLE } from "./document-pool.ts";
import { VERDICTS_TABLE } from "./judge-documents.ts";
import { policyOf, type Policy } from "./policy.ts";
import { boundsOf, type Family } from "./quality/thresholds.ts";

/** A file of a corpus's sources, by where it lay. */
export interface CorpusFile {
  readonly source: string;
  readonly path: string;
  readonly repository?: string;
  readonly commit?: string;
  /** Why it could not be read as a text. */
  readonly reason?: string;
}

export interface FiredRule {
  readonly stage: string;
  readonly reason: string;
  readonly rule?: string;
  readonly value?: number;
  readonly least?: number;
  readonly most?: number;
  readonly of?: string;
  /** Whether it is what dropped the document; the others fired too. */
  readonly isDecisive: boolean;
}

/** A signal and its bound, by how near it comes: 1 is at the bound, above is beyond. */
export interface Margin {
  readonly signal: string;
  readonly value: number;
  readonly least?: number;
  readonly most?: number;
  readonly closeness: number;
}

/** Where tokens of a document went. */
export interface TokenUse {
  /** Digest of the shards, and what was asked of them. */
  readonly shards: string;
  readonly split: "train" | "validation";
  readonly tokens: number;
  /** How often the document lies in them. */
  readonly times: number;
  /** Stages that have read these shards. */
  readonly readBy: readonly string[];
}

/** What became of a file. */
export interface FileFate {
  /** Of its text; empty where it could not be read as one. */
  readonly docId: string;
  readonly file: CorpusFile;
  /** The rule that dropped its text; nothing where the text is in the corpus, be it by this file or by an equal one. */
  readonly droppedBy: string | null;
}

/** What happened to the files that a question names. */
export type Explanation =
  | { readonly kind: "several"; readonly documents: readonly FileFate[] }
  | { readonly kind: "unread"; readonly file: CorpusFile }
  | {
      readonly kind: "document";
      readonly docId: string;
      /** All files that hold this text, the one that stands for it first. */
      readonly files: readonly CorpusFile[];
      readonly isKept: boolean;
      readonly fired: readonly FiredRule[];
      readonly language: string;
      readonly licence: string;
      readonly alike: readonly { readonly docId: string; readonly path: string; readonly similarity: number }[];
      readonly margins: readonly Margin[];
      /** Spans of personal data by kind. */
      readonly personalData: Readonly<Record<string, number>>;
      readonly tokens: readonly TokenUse[];
    };

/**
 * What happened to a document or file of a corpus, from the tables of the run that made it.
 *
 * @param query the first digits of a document's id, or a path, or the end of one
 * @throws DocumentUnknown
 */
export async function explainDocument(store: Store, corpus: ArtifactRef, query: string): Promise<Explanation> {
  const tables = new CorpusTables(store, corpus);
  const files = await findFiles(tables, query);
  if (files.length === 0) throw new DocumentUnknown(corpus.digest, query);
  const ids = new Set(files.map(({ doc_id: docId }) => docId as string | undefined));
  const [docId] = ids;
  if (ids.size > 1) return { kind: "several", documents: await fatesOf(tables, files) };
  if (docId === undefined) return { kind: "unread", file: fileOf(files[0]!) };
  return explainOne(store, corpus, tables, docId);
}

/**
 * Fates of the files of a corpus's sources that lie at a path, or whose text has an id, whether they stayed or not.
 *
 * @param query a path as its source has it, or the first digits of a document's id, at least six
 */
export async function findFates(store: Store, corpus: ArtifactRef, query: string): Promise<FileFate[]> {
  const tables = new CorpusTables(store, corpus);
  const files = await tables.rows(FILES_TABLE, ({ path, doc_id: docId }) => path === query || (ID_DIGITS.test(query) && typeof docId === "string" && docId.startsWith(query)));
  return fatesOf(tables, files);
}

const ID_DIGITS = /^[0-9a-f]{6,32}$/;

class CorpusTables {
  readonly #store: Store;
  readonly #corpus: ArtifactRef;

  constructor(store: Store, corpus: ArtifactRef) {
    this.#store = store;
    this.#corpus = corpus;
  }

  /** Rows of a table that a test lets through; none where the run did not make the table. */
  async rows(table: string, isWanted: (row: Row) => boolean): Promise<Row[]> {
    const path = `attributes/${table}.parquet`;
    const { files } = await this.#store.artifacts.manifest(this.#corpus);
    if (!files.some((file) => file.path === path)) return [];
    const found: Row[] = [];
    for await (const row of readTable(await this.#store.artifacts.file(this.#corpus, path))) if (isWanted(row)) found.push(row);
    return found;
  }

  of(table: string, docId: string): Promise<Row[]> {
    return this.rows(table, (row) => row.doc_id === docId);
  }
}

/** Files of the document with that id, else with that path, else with a path that ends so. */
async function findFiles(tables: CorpusTables, query: string): Promise<Row[]> {
  if (ID_DIGITS.test(query)) {
    const byId = await tables.rows(FILES_TABLE, ({ doc_id: docId }) => typeof docId === "string" && docId.startsWith(query));
    if (byId.length > 0) return byId;
  }
  const exact = await tables.rows(FILES_TABLE, ({ path }) => path === query);
  return exact.length > 0 ? exact : tables.rows(FILES_TABLE, ({ path }) => (path as string).endsWith(`/${query}`));
}

function fileOf(row: Row): CorpusFile {
  const { source, path, repository, commit, reason } = row as unknown as CorpusFile;
  return { source, path, ...(repository === undefined ? {} : { repository }), ...(commit === undefined ? {} : { commit }), ...(reason === undefined ? {} : { reason }) };
}

async function fatesOf(tables: CorpusTables, files: readonly Row[]): Promise<FileFate[]> {
  const ids = new Set(files.map(({ doc_id: docId }) => docId));
  const decisive = await tables.rows(VERDICTS_TABLE, (row) => row.is_decisive === 1 && ids.has(row.doc_id));
  const droppedBy = new Map(decisive.map((row) => [row.doc_id, [row.reason, row.rule].filter((each) => each !== undefined).join(" ")]));
  return files.map((row) => ({ docId: (row.doc_id ?? "") as string, file: fileOf(row), droppedBy: (row.reason as string | undefined) ?? droppedBy.get(row.doc_id) ?? null }));
}

async function explainOne(store: Store, corpus: ArtifactRef, tables: CorpusTables, docId: string): Promise<Explanation> {
  const [standing] = await tables.of("exact-duplicates", docId);
  const files = (await tables.of(FILES_TABLE, docId)).map(fileOf);
  const stands = ({ source, path }: CorpusFile) => (source === standing!.source && path === standing!.path ? 0 : 1);
  const fired = (await tables.of(VERDICTS_TABLE, docId)).map(({ doc_id: _, is_decisive, ...rule }) => ({ ...(rule as unknown as Omit<FiredRule, "isDecisive">), isDecisive: is_decisive === 1 }));
  const [language] = await tables.of("language", docId);
  const [licence] = await tables.of("licence", docId);
  const personalData: Record<string, number> = {};
  for (const { kind } of await tables.of("personal-data", docId)) personalData[kind as string] = (personalData[kind as string] ?? 0) + 1;
  const bindings = await store.records.bindings();
  return {
    kind: "document",
    docId,
    files: files.sort((a, b) => stands(a) - stands(b)),
    isKept: !fired.some(({ isDecisive }) => isDecisive),
    fired,
    language: language!.language as string,
    licence: (licence?.license ?? standing!.licenses) as string,
    alike: await likeDocuments(tables, docId),
    margins: await marginsOf(tables, docId, policyOfCorpus(bindings, corpus)),
    personalData,
    tokens: await tokenUses(store, bindings, corpus, docId),
  };
}

async function likeDocuments(tables: CorpusTables, docId: string) {
  const pairs = await tables.rows("near-duplicates", (row) => row.doc_id === docId || row.other_doc_id === docId);
  const similarity = new Map(pairs.map((row) => [(row.doc_id === docId ? row.other_doc_id : row.doc_id) as string, row.similarity as number]));
  const rows = await tables.rows("exact-duplicates", (row) => similarity.has(row.doc_id as string));
  return rows.map((row) => ({ docId: row.doc_id as string, path: row.path as string, similarity: similarity.get(row.doc_id as string)! })).sort((a, b) => b.similarity - a.similarity);
}

/** Of the run that made it. */
function policyOfCorpus(bindings: readonly Binding[], corpus: ArtifactRef): Policy | undefined {
  const binding = bindings.find(({ outputs }) => outputs.documents?.digest === corpus.digest);
  const recipe = corpusRecipeSchema.safeParse(binding?.facts.recipe);
  return recipe.success ? policyOf(recipe.data, [], 0) : undefined;
}

/** The signals that come nearest to a bound, or lie beyond. */
async function marginsOf(tables: CorpusTables, docId: string, policy: Policy | undefined): Promise<Margin[]> {
  const [row] = await tables.of("quality", docId);
  if (row === undefined || policy?.quality === undefined) return [];
  const margins: Margin[] = [];
  for (const [signal, { least, most }] of boundsOf(policy.quality.thresholds, row.family as Family, policy.quality.changes)) {
    const value = row[signal];
    if (typeof value !== "number") continue;
    if (least !== undefined) margins.push({ signal, value, least, closeness: value === 0 ? Number.MAX_VALUE : least / value });
    if (most !== undefined && most > 0) margins.push({ signal, value, most, closeness: value / most });
  }
  return margins.sort((a, b) => b.closeness - a.closeness).slice(0, NEAREST);
}

const NEAREST = 5;

async function tokenUses(store: Store, bindings: readonly Binding[], corpus: ArtifactRef, docId: string): Promise<TokenUse[]> {
  const uses: TokenUse[] = [];
  const made = bindings.filter(({ facts }) => facts.inputs.documents === corpus.digest);
  for (const digest of new Set(made.flatMap(({ outputs }) => outputs.shards?.digest ?? []))) {
    const readBy = bindings.filter(({ facts }) => facts.inputs.shards === digest).map(({ facts, key }) => `${facts.stage} ${key.slice(0, 12)}`);
    for (const split of ["train", "validation"] as const) {
      const shards = await openShards((path) => store.artifacts.file({ kind: "shards", digest }, `${split}/${path}`));
      const at = shards.docIds.flatMap((id, index) => (id === docId ? [index] : []));
      const tokens = at.reduce((sum, index) => sum + shards.documentOffsets[index + 1]! - shards.documentOffsets[index]!, 0);
      await shards.close();
      if (at.length > 0) uses.push({ shards: digest, split, tokens, times: at.length, readBy: [...new Set(readBy)] });
    }
  }
  return uses;
}

export class DocumentUnknown extends StageError {
  constructor(corpus: string, query: string) {
    super({
      code: "DocumentUnknown",
      message: `corpus ${corpus.slice(0, 12)}: expected a file or document ${query}, found none. Give at least 6 digits of a document's id, or a path as its source has it.`,
      retryable: false,
      details: { corpus, query },
    });
  }
}
