// Shards in the hands of other readers of Arrow files.
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, writeShards, type ShardManifest, type TokenDocument } from "@diffucoder/formats";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pythonPeer } from "./peers.ts";

const MINUTES = 60_000;
const PACKAGES = ["pyarrow==26.0.1", "polars==2.1.0"];

/** Lengths with and without padding of the token buffer; a document without tokens; a token that needs all 32 bits. */
const DOCUMENTS: readonly TokenDocument[] = [3, 0, 16, 1, 700, 15].map((length, n) => ({
  docId: docIdOf(`document ${n}`),
  source: ["tasks", "bücher", ""][n % 3]!,
  language: n % 2 === 0 ? "python" : "rust",
  tokens: Uint32Array.from({ length }, (_, i) => (i === 0 ? 2 ** 32 - 1 - n : i)),
}));

let folder: string;
let manifest: ShardManifest;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "shards-"));
  manifest = await writeShards(folder, DOCUMENTS, { vocabSize: 2 ** 32, tokenizerSha256: "0".repeat(64), tokensPerShard: 20, documentsPerBatch: 2 });
});
afterAll(() => rm(folder, { recursive: true }));

const rows = DOCUMENTS.map(({ docId, source, language, tokens }) => ({ tokens: [...tokens], doc_id: docId, source, language, n_tokens: tokens.length }));

test.each([
  ["pyarrow", ["tokens: list<item: uint32 not null> not null", "doc_id: fixed_size_binary[16] not null", "source: string not null", "language: string not null", "n_tokens: int32 not null"]],
  ["polars", ["tokens: List(UInt32)", "doc_id: Binary", "source: String", "language: String", "n_tokens: Int32"]],
])(
  "%s reads shards as they are",
  (library, schema) => {
    expect(manifest.shards.length).toBeGreaterThan(1);
    const python = pythonPeer("arrow-pyarrow-26.0.1-polars-2.1.0", PACKAGES);
    const paths = manifest.shards.map(({ path }) => join(folder, path));
    const output = execFileSync(python, [join(import.meta.dirname, "arrow_peer.py"), library, ...paths], { encoding: "utf8", maxBuffer: 1 << 26 });
    expect(JSON.parse(output)).toEqual({ schema, rows });
  },
  5 * MINUTES,
);
