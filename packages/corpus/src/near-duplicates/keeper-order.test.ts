import { expect, test } from "vitest";
import { DocumentTable } from "./keeper-order.ts";

const id = (n: number) => n.toString(16).padStart(32, "0");

function tableOf(rule: "first" | "most-stars", documents: readonly { id: string; repository?: string; stars?: number }[]): DocumentTable {
  const table = new DocumentTable(rule);
  for (const document of documents) table.add(document);
  return table;
}

test("most stars first, then repositories by name, then ids, then arrival", () => {
  const documents = [
    { id: id(9), repository: "b/x", stars: 5 },
    { id: id(1) },
    { id: id(8), repository: "a/y", stars: 5 },
    { id: id(7), repository: "a/y", stars: 5 },
    { id: id(2), repository: "z/z", stars: 100 },
    { id: id(1) },
  ];
  const { order, ranks } = tableOf("most-stars", documents).keeperOrder();
  expect([...order!]).toEqual([4, 3, 2, 0, 1, 5]);
  expect([...ranks!]).toEqual([3, 4, 2, 1, 0, 5]);
});

test("first is the order of arrival, which needs no table", () => {
  expect(tableOf("first", [{ id: id(2), stars: 1 }, { id: id(1), stars: 9 }]).keeperOrder()).toEqual({ digest: "order of arrival" });
});

test("ids and stars are kept for thousands of documents", () => {
  const documents = Array.from({ length: 5000 }, (_, n) => ({ id: id(n * 7919), stars: n, repository: `r${n % 10}` }));
  for (const rule of ["first", "most-stars"] as const) {
    const table = tableOf(rule, documents);
    expect(table.length).toBe(5000);
    expect(Array.from({ length: 5000 }, (_, n) => table.idAt(n))).toEqual(documents.map((document) => document.id));
  }
  expect([...tableOf("most-stars", documents).keeperOrder().order!]).toEqual(Array.from({ length: 5000 }, (_, n) => 4999 - n));
});

test("an order's digest tells orders apart", () => {
  const digest = (stars: number) => tableOf("most-stars", [{ id: id(1), stars: 1 }, { id: id(2), stars }]).keeperOrder().digest;
  expect(digest(2)).toBe(digest(3));
  expect(digest(2)).not.toBe(digest(0));
});

test("what is no id or no number of stars is refused", () => {
  const table = new DocumentTable("most-stars");
  expect(() => table.add({ id: "abc" })).toThrow("id: expected 32 hexadecimal digits, found abc");
  expect(() => table.add({ id: id(1), stars: -1 })).toThrow("stars: expected a number from 0, found -1");
  expect(() => table.add({ id: id(1), stars: Number.NaN })).toThrow("stars: expected a number from 0, found NaN");
});
