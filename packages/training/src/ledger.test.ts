import { sha256 } from "@diffucoder/lineage";
import fc from "fast-check";
import { expect, test } from "vitest";
import { LEDGER_FILE, formatLedger, ledgerEntry, parseLedger } from "./ledger.ts";

test("an entry holds the draws of its step and a digest of its documents", () => {
  expect(ledgerEntry(1, 4, ["a", "b"])).toEqual({ step: 1, samples: [0, 4], documents: sha256("a\nb") });
  expect(ledgerEntry(3, 4, ["a"]).samples).toEqual([8, 12]);
});

test("other documents, or the same in another order, are another entry", () => {
  const own = ledgerEntry(1, 4, ["a", "b"]).documents;
  for (const others of [["b", "a"], ["a"], ["a", "b", "c"], ["ab"], []]) expect(ledgerEntry(1, 4, others).documents).not.toBe(own);
});

test("an entry behind batches that were left out names the samples it drew", () => {
  expect(ledgerEntry(3, 4, ["a"], 5)).toEqual({ step: 3, samples: [16, 20], documents: sha256("a") });
});

test("a ledger is one line of JSON an entry, and survives the file", () => {
  expect(LEDGER_FILE).toBe("ledger.jsonl");
  expect(formatLedger([])).toBe("");
  expect(parseLedger("")).toEqual([]);
  expect(formatLedger([ledgerEntry(1, 1, ["a"])])).toBe(`{"step":1,"samples":[0,1],"documents":"${sha256("a")}"}\n`);
  fc.assert(
    fc.property(fc.array(fc.record({ step: fc.integer({ min: 1 }), documents: fc.array(fc.string()) })), (steps) => {
      const entries = steps.map(({ step, documents }) => ledgerEntry(step, 4, documents));
      expect(parseLedger(formatLedger(entries))).toEqual(entries);
    }),
  );
});
