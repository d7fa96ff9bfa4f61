import type { InnerStage } from "../inner-stage.ts";

/**
 * Files of equal text. The pool has found them while it read: a text has one document, whatever the number of its files.
 * No document is dropped here; the other files are, as copies.
 */
export const exactDuplicates: InnerStage = {
  name: "exact-duplicates",
  module: import.meta.filename,
  scope: "corpus",
  columns: { source: "text", path: "text", copies: "count", bytes: "count", licenses: "text" },
  prepare: () => ({
    settings: {},
    *rows(pool) {
      for (const { docId, source, path, copies, bytes, licenses } of pool.documents()) yield { doc_id: docId, source, path, copies, bytes, licenses: licenses.join("; ") };
    },
  }),
  judge: () => [],
};
