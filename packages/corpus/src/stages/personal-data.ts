import type { InnerStage } from "../inner-stage.ts";
import { findPersonalData } from "./personal-data-rules.ts";

/**
 * Where documents hold personal data and secrets: one row a span, by kind and rule. What was found is not repeated, not
 * even as a hash: an address has too few possible values for that to hide it.
 */
export const personalData: InnerStage = {
  name: "personal-data",
  module: import.meta.filename,
  scope: "document",
  columns: { kind: "text", rule: "text", start: "count", end: "count" },
  prepare: ({ personalData: action }) => {
    if (action === undefined) return undefined;
    return {
      settings: {},
      async *rows(pool) {
        for await (const { docId } of pool.visit()) for (const span of findPersonalData(pool.text(docId))) yield { doc_id: docId, ...span };
      },
    };
  },
  judge: () => [],
};
