import type { InnerStage } from "../inner-stage.ts";

/** Where documents begin with a comment that says whose they are and under what terms: one row a document that does. */
export const copyrightHeaders: InnerStage = {
  name: "copyright-headers",
  module: import.meta.filename,
  scope: "document",
  columns: { start: "count", end: "count" },
  prepare: ({ copyrightHeaders: action }) => {
    if (action === undefined) return undefined;
    return {
      settings: {},
      async *rows(pool) {
        for await (const { docId } of pool.visit()) {
          const header = findCopyrightHeader(pool.text(docId));
          if (header !== undefined) yield { doc_id: docId, ...header };
        }
      },
    };
  },
  judge: () => [],
};

/**
 * The comment at the head of a file, behind the lines that name its interpreter and its encoding, if it tells a copyright or
 * licence and is not all that there is; with the empty lines behind it. In UTF-16 units, half-open.
 */
export function findCopyrightHeader(text: string): { readonly start: number; readonly end: number } | undefined {
  const start = INTERPRETER.exec(text)![0].length;
  COMMENT.lastIndex = start;
  const [comment] = COMMENT.exec(text) ?? [];
  if (comment === undefined || !TERMS.test(comment)) return undefined;
  const end = start + comment.length;
  return text.slice(end).trim() === "" ? undefined : { start, end };
}

const INTERPRETER = /^\uFEFF?(?:#!.*\n)?(?:#.*coding[:=].*\n)?/;
/** A block comment, or lines of comments without an empty one between; C's `#include` is none. */
const COMMENT = /\s*(?:\/\*[^]*?\*\/[^\S\n]*(?:\n|$)|(?:[^\S\n]*(?:#(?=[\s#*]|$)|\/\/|--|;).*(?:\n|$))+)\s*/y;
const TERMS =
  /^[^\w\n]*copyright\b.*(?:\d{4}|\(c\)|©|\b(?:by|inc|authors|contributors|foundation)\b)|^[^\w\n]*(?:\(c\)|©) *(?:copyright)? *\d{4}|SPDX-License-Identifier:|\ball rights reserved\b|\bpermission is hereby granted\b|\blicen[sc]ed under\b/im;
