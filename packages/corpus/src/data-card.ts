import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import { TASK_FAMILIES } from "@diffucoder/tasks";
import { parse } from "yaml";
import { z } from "zod";
import { InvalidCard, SourceMissing } from "./errors.ts";

const filled = z.string().regex(/\S/, "expected words, found none");

const digest = z.string().regex(/^[0-9a-f]{64}$/, "expected a sha256 in hexadecimal");

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
});

const cardSchema = fields.refine(({ origin, counts }) => counts !== undefined || (origin.kind === "tree" && origin.sha256 === undefined), {
  path: ["counts"],
  error: "expected files and bytes of a pinned source, found none",
});

/** What a source is, where it comes from, and what is known about it. */
export type DataCard = z.infer<typeof cardSchema> & {
  /** Where relative paths in the card start from. */
  readonly directory: string;
  readonly sha256: string;
};

/** @throws SourceMissing, or InvalidCard naming the key */
export async function readDataCard(path: string): Promise<DataCard> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new SourceMissing(path, `a data card at ${path}, found ${error.code}`, "Correct `card` in the recipe.");
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
