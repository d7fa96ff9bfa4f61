import type { Explanation } from "@diffucoder/corpus";
import { expect, test } from "vitest";
import { renderExplanation } from "./why.ts";

const ID = "0123456789abcdef0123456789abcdef";
const DOCUMENT: Extract<Explanation, { kind: "document" }> = {
  kind: "document",
  docId: ID,
  files: [{ source: "stack", path: "a/b.py", repository: "o/r", commit: "c".repeat(40) }],
  isKept: true,
  fired: [],
  language: "python",
  licence: "MIT",
  alike: [],
  margins: [],
  personalData: {},
  tokens: [],
};

test("a kept document tells where its tokens went, or that none did", () => {
  expect(renderExplanation({ ...DOCUMENT, tokens: [{ shards: "d".repeat(64), split: "train", tokens: 120, times: 2, readBy: ["pretraining aaa"] }] })).toBe(
    [`document ${ID}  python  MIT`, "  a/b.py of stack, o/r at cccccccccccc", "kept", "tokens:", "  120 in shards dddddddddddd, train, 2 times; read by pretraining aaa"].join("\n"),
  );
  expect(renderExplanation(DOCUMENT)).toContain("tokens: none");
});

test("a dropped one tells the rule, its value against the bound, what else fired, and what it is like", () => {
  const text = renderExplanation({
    ...DOCUMENT,
    files: [DOCUMENT.files[0]!, { source: "stack", path: "copy.py" }],
    isKept: false,
    fired: [
      { stage: "quality", reason: "quality", rule: "frac_lines_pass", value: 0.08123, most: 0.05, isDecisive: true },
      { stage: "quality", reason: "quality", rule: "num_lines", value: 5, least: 10, most: 100000, isDecisive: false },
    ],
    alike: [{ docId: "f".repeat(32), path: "like.py", similarity: 0.75 }],
    margins: [{ signal: "frac_lines_pass", value: 0.08123, most: 0.05, closeness: 1.6 }],
    personalData: { email: 2 },
  });
  expect(text.split("\n").slice(1)).toEqual([
    "  a/b.py of stack, o/r at cccccccccccc",
    "  copy.py of stack, of equal text",
    "dropped at quality: quality frac_lines_pass, value 0.08123, at most 0.05",
    "would be dropped by other rules too:",
    "  quality: quality num_lines, value 5, at least 10 and at most 100000",
    "signals nearest to or beyond their bounds:",
    "  frac_lines_pass  0.08123, at most 0.05",
    "like documents:",
    "  0.75  like.py (ffffffffffff)",
    "personal data and secrets:",
    "  2 email",
  ]);
});

test("it stays on one screen, whatever there is to tell", () => {
  const many = <T>(item: T) => Array.from({ length: 500 }, () => item);
  const fired = many({ stage: "quality", reason: "quality", rule: "x", value: 1, most: 0, isDecisive: false });
  const text = renderExplanation({ ...DOCUMENT, files: many(DOCUMENT.files[0]!), fired, alike: many({ docId: ID, path: "x", similarity: 1 }), tokens: many({ shards: ID, split: "train", tokens: 1, times: 1, readBy: [] }) });
  expect(text.split("\n").length).toBeLessThan(40);
  expect(text).toContain("  and 495 files of equal text");
  const several = renderExplanation({ kind: "several", documents: many({ docId: ID, file: DOCUMENT.files[0]!, droppedBy: null }) });
  expect(several.split("\n").length).toBeLessThan(24);
  expect(several).toContain("  and 485 files");
});

test("several texts of one path are listed with their fates; a file that was not read says why", () => {
  const text = renderExplanation({ kind: "several", documents: [{ docId: ID, file: { source: "s", path: "a.py" }, droppedBy: null }, { docId: "", file: { source: "s", path: "b/a.py", reason: "binary" }, droppedBy: "binary" }] });
  expect(text).toMatch(/^2 files of several texts; ask again with a document's id\n\n {4}document {2}file {9}fate\n0123456789ab {2}a\.py of s {4}kept\n {11}- {2}b\/a\.py of s {2}binary$/);
  expect(renderExplanation({ kind: "unread", file: { source: "s", path: "a.py", reason: "not-utf8" } })).toBe("a.py of s\ndropped at decode: not-utf8");
});
