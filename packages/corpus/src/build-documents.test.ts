import { docIdOf } from "@diffucoder/formats";
import { stream } from "@diffucoder/random";
import fc from "fast-check";
import { expect, test } from "vitest";
import { tinyCard } from "../test/tiny-card.ts";
import { DocumentBuilder } from "./build-documents.ts";
import { ContaminationIndex } from "./contamination.ts";
import type { DataCard } from "./data-card.ts";
import type { SourceFile } from "./source-file.ts";

const words = (count: number, first = 0) => Array.from({ length: count }, (_, i) => `w${first + i}`).join(" ");
const file = (path: string, content: string | Uint8Array, rest: Partial<SourceFile> = {}): SourceFile => ({ path, bytes: Buffer.from(content), license: "MIT", ...rest });

function build(files: readonly (SourceFile & { card?: DataCard })[], options: { items?: { id: string; text: string }[]; seed?: number; validationShare?: number } = {}) {
  const { items = [], seed = 1, validationShare = 0.5 } = options;
  const builder = new DocumentBuilder({ contamination: new ContaminationIndex(items), seed, validationShare });
  for (const { card = tinyCard(), ...each } of files) builder.add(card, each);
  return builder;
}

test("a document carries its text, cleaned, and where it comes from", () => {
  const { rows, drops } = build([file("a/b.py", "\uFEFFx = 1\r\n", { license: "BSD-3-Clause" })], { validationShare: 1e-9 });
  expect(rows).toEqual([
    { docId: docIdOf("x = 1\n"), source: "tiny", path: "a/b.py", language: "python", license: "BSD-3-Clause", split: "train", text: "x = 1\n" },
  ]);
  expect(drops).toEqual([]);
});

test("every file is a document or a drop, with its reason and what it repeats", () => {
  const card = tinyCard({ id: "near", largestFileBytes: 400, nearDuplicates: { threshold: 0.8 } });
  const [first, leak] = [words(50), words(12, 100)];
  const { rows, drops } = build(
    [
      file("first.py", first),
      file("large.py", words(200)),
      file("binary.py", "a\0b"),
      file("latin.py", Uint8Array.of(0xe9)),
      file("blank.py", "\n"),
      file("copy.py", `${first}\r\n\r\n`),
      file("leak.py", `x ${leak} y`),
      file("near.py", `${first} more`), // 46 of 47 runs shared
      file("other.py", words(50, 500)),
    ].map((each) => ({ ...each, card })),
    { items: [{ id: "Tiny/0", text: leak }] },
  );
  expect(rows.map(({ path }) => path)).toEqual(["first.py", "other.py"]);
  const firstId = docIdOf(`${first}\n`);
  expect(drops).toEqual([
    { source: "near", path: "large.py", reason: "too-large" },
    { source: "near", path: "binary.py", reason: "binary" },
    { source: "near", path: "latin.py", reason: "not-utf8" },
    { source: "near", path: "blank.py", reason: "empty" },
    { source: "near", path: "copy.py", reason: "exact-duplicate", of: firstId },
    { source: "near", path: "leak.py", reason: "contaminated", of: "Tiny/0" },
    { source: "near", path: "near.py", reason: "near-duplicate", of: firstId },
  ]);
});

test("exact duplicates are found across sources, near ones only among sources that ask at one threshold", () => {
  const [text, alike] = [words(50), `${words(50)} more`];
  const plain = tinyCard({ id: "plain" });
  const near = (id: string, threshold: number) => tinyCard({ id, nearDuplicates: { threshold } });
  const reasons = (...files: [DataCard, string][]) =>
    build(files.map(([card, content], i) => ({ ...file(`${i}.py`, content), card }))).drops.map(({ source, reason }) => `${source} ${reason}`);
  expect(reasons([plain, text], [near("b", 0.8), text])).toEqual(["b exact-duplicate"]);
  expect(reasons([near("a", 0.8), text], [near("b", 0.8), alike])).toEqual(["b near-duplicate"]);
  expect(reasons([near("a", 0.8), text], [near("b", 0.5), alike])).toEqual([]);
  expect(reasons([plain, text], [plain, alike])).toEqual([]);
  expect(reasons([plain, text], [near("b", 0.8), alike])).toEqual([]);
  expect(reasons([near("a", 0.8), text], [plain, alike])).toEqual([]);
});

test("a contaminated text is dropped each time, and drops nothing that is like it", () => {
  const leak = words(12);
  const card = tinyCard({ nearDuplicates: { threshold: 0.5 } });
  const innocent = `${words(9)} ${words(30, 100)}`;
  const tainted = `${leak} ${words(30, 100)}`;
  const { rows, drops } = build([file("a.py", tainted), file("b.py", tainted), file("c.py", innocent)].map((each) => ({ ...each, card })), { items: [{ id: "Tiny/0", text: leak }] });
  expect(drops.map(({ path, reason }) => `${path} ${reason}`)).toEqual(["a.py contaminated", "b.py contaminated"]);
  expect(rows.map(({ path }) => path)).toEqual(["c.py"]);
});

test("the split is a draw of seed and document, so that neither order nor company moves a document across it", () => {
  const split = (text: string, seed: number) => build([file("x.py", text)], { seed, validationShare: 0.3 }).rows[0]!.split;
  const texts = Array.from({ length: 60 }, (_, i) => `x = ${i}\n`);
  const together = build(texts.map((text, i) => file(`${i}.py`, text)), { validationShare: 0.3 }).rows;
  expect(together.map(({ split }) => split)).toEqual(texts.map((text) => split(text, 1)));
  expect(texts.map((text) => split(text, 2))).not.toEqual(texts.map((text) => split(text, 1)));
  const draw = stream({ seed: 1, stage: "corpus", purpose: `split ${docIdOf(texts[0]!)}` }).uniform();
  expect(build([file("x.py", texts[0]!)], { validationShare: draw }).rows[0]!.split).toBe("train"); // half-open: a draw equal to the share is train
  expect(build([file("x.py", texts[0]!)], { validationShare: draw + 1e-9 }).rows[0]!.split).toBe("validation");
});

test("the share of validation is what was asked for", () => {
  const { rows } = build(Array.from({ length: 2000 }, (_, i) => file(`${i}.py`, `x = ${i}`)), { validationShare: 0.2 });
  const share = rows.filter(({ split }) => split === "validation").length / rows.length;
  expect(Math.abs(share - 0.2)).toBeLessThan(0.036); // four standard deviations of sqrt(0.2 * 0.8 / 2000)
});

test("files of one group share a side, whatever they hold", () => {
  const { rows } = build(Array.from({ length: 200 }, (_, i) => file(`${i}.py`, `x = ${i}`, { group: `group ${i % 40}` })));
  const sides = new Map<string, Set<string>>();
  for (const [i, { split }] of rows.entries()) sides.set(`${i % 40}`, (sides.get(`${i % 40}`) ?? new Set()).add(split));
  expect([...sides.values()].every(({ size }) => size === 1)).toBe(true);
  expect(new Set([...sides.values()].flatMap((side) => [...side]))).toEqual(new Set(["train", "validation"]));
});

test("without near-duplicates, which texts are kept and on which side does not depend on the order of the files", () => {
  const contents = fc.array(fc.constantFrom("a", "b", "c\n", "c", "d\r\n", "d", "", "\0", words(10), words(11)), { maxLength: 12 });
  fc.assert(
    fc.property(contents.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))), ([list, shuffled]) => {
      const outcome = (texts: readonly string[]) => {
        const { rows, drops } = build(texts.map((text, i) => file(`${i}.py`, text)), { items: [{ id: "T", text: words(11) }] });
        expect(rows.length + drops.length).toBe(texts.length);
        return { kept: rows.map(({ docId, split }) => `${docId} ${split}`).sort(), reasons: drops.map(({ reason, of }) => `${reason} ${of}`).sort() };
      };
      expect(outcome(shuffled)).toEqual(outcome(list));
    }),
  );
});

test("with near-duplicates the first of several stays, so that the order of the files decides", () => {
  const card = tinyCard({ nearDuplicates: { threshold: 0.8 } });
  const [a, b] = [{ ...file("a.py", words(50)), card }, { ...file("b.py", `${words(50)} more`), card }];
  expect(build([a, b]).rows.map(({ path }) => path)).toEqual(["a.py"]);
  expect(build([b, a]).rows.map(({ path }) => path)).toEqual(["b.py"]);
});
