import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { describeSystemError, sha256 } from "@diffucoder/lineage";
import { TASK_FAMILIES } from "@diffucoder/tasks";
import { parse } from "yaml";
import { z } from "zod";
import { InvalidCard, SourceMissing } from "./errors.ts";
import { DROPPING_STAGES } from "./dropping-stages.ts";

const filled = z.string().regex(/\S/, "expected words, found none");

const digest = z.string().regex(/^[0-9a-f]{64}$/, "expected a sha256 in hexadecimal");

const TABLE_NAME = /\.(jsonl(\.gz|\.zst)?|parquet)$/;

const wheel = z.strictObject({
  name: filled,
  version: filled,
  file: z.string().regex(/^[\w.+-]+\.whl$/),
  sha256: digest,
  license: filled.describe("SPDX expression"),
});

const origin = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("wheels"), wheels: z.array(wheel).min(1) }),
  z.strictObject({
    kind: z.literal("tree"),
    path: filled.describe("directory, relative to the card"),
    sha256: digest.optional().describe("digest of the tree; any content is accepted without it"),
    license: filled,
  }),
  z
    .strictObject({
      kind: z.literal("git"),
      url: filled.optional(),
      path: filled.optional().describe("repository on this machine, relative to the card, in place of a URL"),
      commit: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/, "expected a whole commit in hexadecimal"),
      license: filled,
    })
    .refine(({ url, path }) => (url === undefined) !== (path === undefined), { error: "expected either a url or a path" }),
  z.strictObject({
    kind: z.literal("table"),
    files: z
      .array(
        z.union([
          z.strictObject({ url: z.url({ protocol: /^https?$/ }).regex(TABLE_NAME, "expected a name that ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet"), sha256: digest }),
          z.strictObject({ path: z.string().regex(TABLE_NAME, "expected a name that ends in .jsonl, .jsonl.gz, .jsonl.zst or .parquet"), sha256: digest.optional() }),
        ]),
      )
      .min(1)
      .describe("files of one record a row; a path is relative to the card"),
    columns: z
      .strictObject({
        content: filled,
        path: filled.optional(),
        license: filled.optional().describe("SPDX expression, or a list of them"),
        repository: filled.optional(),
        commit: filled.optional(),
        stars: filled.optional(),
        committedAt: filled.optional(),
      })
      .describe("name of the column that holds each"),
    license: filled.describe("of rows that tell none"),
  }),
  z.strictObject({
    kind: z.literal("generated-tasks"),
    families: z.array(z.enum(TASK_FAMILIES)).min(1),
    count: z.int().positive(),
    seed: z.int().nonnegative(),
    license: filled,
  }),
]);

const fields = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]+$/),
  version: filled,
  title: filled,
  description: filled,
  selection: filled.describe("how what is in the source was chosen"),
  personalData: filled,
  benchmarkOverlap: filled,
  knownGaps: filled,
  fitUses: filled,
  unfitUses: filled,
  origin,
  include: z.array(z.string()).min(1).default(["**/*.py"]).describe("globs of the files to read"),
  counts: z
    .strictObject({ files: z.int().positive(), bytes: z.int().positive() })
    .optional()
    .describe("of the included files, before any is dropped; checked on every run; only a tree without a digest may leave them out"),
  largestFileBytes: z.int().positive().default(1 << 20),
  nearDuplicates: z
    .strictObject({ threshold: z.number().gt(0).max(1).default(0.8).describe("Jaccard similarity of word 5-grams at which the later file is dropped") })
    .optional()
    .describe("left out: only exact duplicates are dropped"),
  largestLoss: z
    .partialRecord(z.enum(DROPPING_STAGES), z.number().min(0).max(1))
    .optional()
    .describe("share of the files that reach a stage inside the corpus at which its losses stop the run, by stage"),
});

const cardSchema = fields.refine(({ origin, counts }) => counts !== undefined || !isPinned(origin), {
  path: ["counts"],
  error: "expected files and bytes of a pinned source, found none",
});

function isPinned(origin: z.infer<typeof fields>["origin"]): boolean {
  if (origin.kind === "tree") return origin.sha256 !== undefined;
  return origin.kind !== "table" || origin.files.every((file) => "url" in file || file.sha256 !== undefined);
}

/** What a source is, where it comes from, and what is known about it. */
export type DataCard = z.infer<typeof cardSchema> & {
  /** Where relative paths in the card start from. */
  readonly directory: string;
  readonly sha256: string;
};

/** @throws SourceMissing, or InvalidCard naming the key */
export async function readDataCard(path: string): Promise<DataCard> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new SourceMissing(path, `a data card at ${path}, found ${describeSystemError(error)}`, "Correct `card` in the recipe.");
  });
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new InvalidCard(path, String(error));
  }
  const parsed = cardSchema.safeParse(value);
  if (!parsed.success) throw new InvalidCard(path, z.prettifyError(parsed.error));
  return { ...parsed.data, directory: dirname(resolve(path)), sha256: sha256(text) };
}
