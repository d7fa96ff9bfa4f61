import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docIdOf, writeDocuments } from "@diffucoder/formats";
import { openStore, sha256, type Store } from "@diffucoder/lineage";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { parse, stringify } from "yaml";
import { createCommand } from "../command.ts";

const CARD = {
  id: "small",
  version: "2",
  title: "Small files",
  description: "Two files.",
  selection: "By hand.",
  personalData: "None.",
  benchmarkOverlap: "None known.",
  knownGaps: "Nearly everything.",
  fitUses: "Tests.",
  unfitUses: "All else.",
  origin: { kind: "tree", path: "small", license: "MIT" },
};

const folder = mkdtempSync(join(tmpdir(), "card-"));
const card = join(folder, "small.yaml");
let store: Store;
let digest: string;

/** The record that a run of the corpus stage leaves, as far as it is read here. */
async function publishCorpus(): Promise<string> {
  const directory = join(folder, "documents");
  mkdirSync(directory);
  const rows = ["a = 1\n", "b = 2\n"].map((text, i) => ({ docId: docIdOf(text), source: "small", path: `${i}.py`, language: "python", license: ["MIT", "0BSD"][i]!, split: "train" as const, text }));
  await writeDocuments(directory, rows);
  const ref = await store.artifacts.publish("documents", directory, {});
  const key = sha256("corpus");
  const facts = { stage: "corpus", code: "", recipe: {}, inputs: {}, sources: { "small.yaml": `${sha256(stringify(CARD))} ${"0".repeat(64)}` }, seed: 1, dtype: null };
  const numerics = { dtype: "fp32", instructionSet: "any", threads: 1, libtensorflow: "none" } as const;
  const waiver = { card: "small", subject: "included files", expected: "1", found: "2", reason: "grew" };
  const summary = { droppedBySource: { "small binary": 3, "small-other binary": 1 }, waivers: [waiver, { ...waiver, card: "small-other" }] };
  const cost = { startedAt: "2026-03-04T05:06:07.000Z", wallMs: 1, cpuMs: 1, peakMemoryBytes: 1 };
  await store.records.bind(key, { key, facts, execution: {}, attempt: 1, numerics, packages: {}, packageVersion: "0", commit: null, environment: {}, resumedFromStep: null, outputs: { documents: ref }, summary, cost });
  return ref.digest;
}

beforeAll(async () => {
  vi.stubEnv("DIFFUCODER_HOME", folder);
  writeFileSync(card, stringify(CARD));
  store = await openStore(join(folder, "store"));
  digest = await publishCorpus();
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

async function diffucoder(...args: string[]): Promise<string> {
  const output = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    await createCommand().parseAsync(["card", ...args], { from: "user" });
    return output.mock.calls.map(([text]) => text).join("");
  } finally {
    output.mockRestore();
  }
}

test("a card as Markdown: facts with defaults filled in, then a section for each thing said in words", async () => {
  const page = await diffucoder("markdown", card);
  const [, front, body] = page.split("---\n") as [string, string, string];
  expect(parse(front)).toMatchObject({ id: "small", version: "2", origin: CARD.origin, include: ["**/*.py"], cardSha256: sha256(stringify(CARD)) });
  expect(body).toBe(
    "\n# Small files\n\n## Description\n\nTwo files.\n\n## Selection\n\nBy hand.\n\n## Personal data\n\nNone.\n\n## Overlap with benchmarks\n\nNone known.\n\n## Known gaps\n\nNearly everything.\n\n## Fit uses\n\nTests.\n\n## Unfit uses\n\nAll else.\n",
  );
});

test("with a corpus the facts hold what was found when the card was checked", async () => {
  const [, front] = (await diffucoder("markdown", card, "--corpus", digest.slice(0, 8))).split("---\n") as [string, string];
  expect((parse(front) as { checked: unknown }).checked).toEqual({
    corpus: digest,
    on: "2026-03-04",
    filesRead: 5,
    documents: { train: 2 },
    dropped: { binary: 3 },
    waivers: [{ card: "small", subject: "included files", expected: "1", found: "2", reason: "grew" }],
  });
});

test("a card that was changed since the run is refused", async () => {
  const changed = join(folder, "changed.yaml");
  writeFileSync(changed, stringify({ ...CARD, knownGaps: "None." }));
  const refusal = { code: "Usage", message: expect.stringContaining("card small: expected one that the run of this corpus was checked against") };
  await expect(diffucoder("markdown", changed, "--corpus", digest)).rejects.toMatchObject(refusal);
  await expect(diffucoder("croissant", digest, "--card", changed, ...PUBLICATION, "--creator", "A")).rejects.toMatchObject(refusal);
});

test("a card that lacks something is refused", async () => {
  const bad = join(folder, "bad.yaml");
  writeFileSync(bad, stringify({ ...CARD, knownGaps: "" }));
  await expect(diffucoder("markdown", bad)).rejects.toMatchObject({ code: "InvalidCard", message: expect.stringContaining("knownGaps") });
});

const PUBLICATION = ["--name", "small-corpus", "--url", "https://example.org"];

test("a corpus in Croissant: counts, licences, date and digests come from the store, words from the cards", async () => {
  const croissant = JSON.parse(await diffucoder("croissant", digest.slice(0, 12), "--card", card, ...PUBLICATION, "--creator", "A", "--creator", "B"));
  const { files } = await store.artifacts.manifest({ kind: "documents", digest });
  expect(croissant).toMatchObject({
    name: "small-corpus",
    version: "1.0.0",
    description: "small: Small files, version 2, 2 documents. Two files.",
    identifier: `sha256:${digest}`,
    license: ["0BSD", "MIT"],
    creator: [{ name: "A" }, { name: "B" }],
    datePublished: "2026-03-04",
    "rai:dataLimitations": "small: Nearly everything. None known. Unfit for: All else.",
    "rai:dataUseCases": "small: Tests.",
    "rai:dataCollection": "small: By hand.",
    "rai:personalSensitiveInformation": "small: None.",
    distribution: [{ contentUrl: "documents.parquet", sha256: files[0]!.sha256 }],
  });
});

test("cards must be those of the documents' sources, and it must be a corpus", async () => {
  await expect(diffucoder("croissant", digest, ...PUBLICATION, "--creator", "A")).rejects.toMatchObject({ code: "Usage", message: "--card: expected the cards of small, found none" });
  await expect(diffucoder("croissant", digest, "--card", card, "--card", card, ...PUBLICATION, "--creator", "A")).rejects.toThrow("expected the cards of small, found those of small, small");
  await store.names.assign("a@1", await store.artifacts.publish("report", join(folder, "documents"), {}));
  await expect(diffucoder("croissant", "a@1", "--card", card, ...PUBLICATION, "--creator", "A")).rejects.toThrow(/expected documents, found report$/);
});
