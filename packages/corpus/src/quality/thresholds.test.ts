import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FAMILIES, boundedSignals, boundsOf, breaks, familyOf } from "./thresholds.ts";

const CODE = FAMILIES.filter((family) => !family.startsWith("prose"));

test("RefineCode's table has the 398 thresholds of the published filter for code, family by family", () => {
  const counts = Object.fromEntries(FAMILIES.map((family) => [family, boundsOf("refinecode", family).size]));
  expect(counts).toEqual({ python: 39, c: 36, cpp: 36, csharp: 35, java: 35, javascript: 36, go: 35, html: 28, sql: 31, shell: 28, data: 28, others: 31, "prose-en": 26, "prose-zh": 25 });
  expect(CODE.reduce((sum, family) => sum + counts[family]!, 0)).toBe(398);
});

test.each(["refinecode", "stack-v2-like"] as const)("each bound of %s lets its own value pass and stops the next beyond", (table) => {
  let bounds = 0;
  for (const family of FAMILIES) {
    for (const [, bound] of boundsOf(table, family)) {
      bounds++;
      const { least, most } = bound;
      expect(least === undefined && most === undefined).toBe(false);
      if (least !== undefined) expect([breaks(least, bound), breaks(least - 1e-9, bound)]).toEqual([false, true]);
      if (most !== undefined) expect([breaks(most, bound), breaks(most + 1e-9, bound)]).toEqual([false, true]);
    }
  }
  expect(bounds).toBeGreaterThan(50);
});

test("every signal with a bound is a column of the table of signals", () => {
  const source = readFileSync(join(import.meta.dirname, "../stages/quality.ts"), "utf8");
  expect([...boundedSignals()].filter((signal) => !source.includes(`"${signal}"`))).toEqual([]);
});

test("what one language may and another may not", () => {
  expect(boundsOf("refinecode", "sql").get("frac_chars_digital")).toEqual({ most: 0.3 });
  expect(boundsOf("refinecode", "python").get("frac_chars_digital")).toEqual({ most: 0.2 });
  expect(boundsOf("refinecode", "html").get("frac_chars_dupe_5grams")).toEqual({ most: 0.6 });
  expect(boundsOf("refinecode", "go").get("frac_lines_assert")).toBeUndefined();
  expect(boundsOf("refinecode", "python").get("score_lines_no_logic")).toEqual({ most: 0.5, share: 0.8 });
});

test("a recipe's change takes the place of a bound, or takes it away", () => {
  const bounds = boundsOf("refinecode", "python", { num_words: { least: 5 }, frac_lines_pass: {} });
  expect(bounds.get("num_words")).toEqual({ least: 5 });
  expect(breaks(1, bounds.get("frac_lines_pass")!)).toBe(false);
  expect(boundsOf("refinecode", "python").get("num_words")).toEqual({ least: 30 });
});

test("languages belong to families; Chinese prose is told by its letters", () => {
  expect(["python", "c++", "c#", "typescript", "json", "markdown", "brainfuck"].map((language) => familyOf(language, "text"))).toEqual(["python", "cpp", "csharp", "others", "data", "prose-en", "others"]);
  expect(familyOf("markdown", "这是一个用于测试的文件。")).toBe("prose-zh");
  expect(familyOf("python", "# 这是一个用于测试的文件。")).toBe("python");
});
