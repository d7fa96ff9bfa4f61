import { sha256 } from "@diffucoder/lineage";
import { ContaminationIndex, type BenchmarkItem } from "../contamination.ts";
import type { Hit, InnerStage } from "../inner-stage.ts";

/** Documents that repeat evaluation data: a run of words, or a definition of the function that an item asks for. */
export const contamination: InnerStage = {
  name: "contamination",
  module: import.meta.filename,
  scope: "document",
  columns: { rule: "text", item: "text", match: "text" },
  prepare: ({ decontamination }, { benchmarkItems }) => {
    if (decontamination === undefined) return undefined;
    const { words } = decontamination;
    return {
      settings: { words, items: sha256(JSON.stringify(benchmarkItems)) },
      async *rows(pool) {
        const index = new ContaminationIndex(benchmarkItems, words);
        const entryPoints = new EntryPoints(benchmarkItems);
        for await (const { docId } of pool.visit()) {
          const text = pool.text(docId);
          const shared = index.find(text);
          if (shared !== undefined) yield { doc_id: docId, rule: "run", item: shared.item, match: shared.run };
          for (const { rule, item, name } of entryPoints.in(text)) yield { doc_id: docId, rule, item, match: name };
        }
      },
    };
  },
  async *judge(rows, { decontamination }) {
    if (decontamination === undefined) return;
    for await (const { doc_id: docId, rule, item } of rows) {
      const hit: Hit = { docId: docId as string, reason: "contaminated", rule: rule as string, of: item as string };
      if (rule === "run" || (rule === "entry-point" && decontamination.entryPoints)) yield hit;
    }
  },
};

/**
 * Definitions of functions that benchmarks ask for. A name that any program might have is told apart: to drop it by name
 * alone would wipe out ordinary code.
 *
 * @source OpenCoder, arXiv:2411.04905v3, section 2 (entry points)
 */
export class EntryPoints {
  readonly #itemOf = new Map<string, string>();

  constructor(items: readonly BenchmarkItem[]) {
    for (const { id, entryPoint } of items) if (entryPoint !== undefined && !this.#itemOf.has(entryPoint)) this.#itemOf.set(entryPoint, id);
  }

  *in(text: string): Generator<{ rule: "entry-point" | "generic-entry-point"; item: string; name: string }> {
    if (this.#itemOf.size === 0) return;
    const told = new Set<string>();
    for (const [, name] of text.matchAll(/\bdef\s+(\w+)\s*\(/g)) {
      const item = this.#itemOf.get(name!);
      if (item === undefined || told.has(name!)) continue;
      told.add(name!);
      yield { rule: isGeneric(name!) ? "generic-entry-point" : "entry-point", item, name: name! };
    }
  }
}

/** One word, or a phrase that programs share. */
const isGeneric = (name: string): boolean => !/.[_A-Z]./.test(name) || GENERIC.has(name.toLowerCase());

const GENERIC = new Set([
  "is_prime", "is_palindrome", "is_sorted", "is_even", "is_odd", "is_valid", "is_empty", "is_leap_year", "get_max", "get_min", "find_max", "find_min", "max_element", "min_element",
  "count_words", "count_vowels", "reverse_string", "remove_duplicates", "binary_search", "bubble_sort", "merge_sort", "quick_sort", "to_string", "to_list", "task_func",
]);
