import { expect, test } from "vitest";
import { EntryPoints } from "./contamination.ts";

const found = (text: string) => [...new EntryPoints([{ id: "H/0", text: "", entryPoint: "has_close_elements" }, { id: "H/1", text: "", entryPoint: "add" }, { id: "H/2", text: "", entryPoint: "is_prime" }, { id: "H/3", text: "", entryPoint: "minPath" }]).in(text)];

test("a definition of what an item asks for is told, once; a call or a mention is not", () => {
  expect(found("def has_close_elements(a):\n  pass\ndef  has_close_elements (b): pass\n")).toEqual([{ rule: "entry-point", item: "H/0", name: "has_close_elements" }]);
  expect(found("has_close_elements(a)  # def\nx = 'undef has_close_elements'\n")).toEqual([]);
  expect(found("def minPath(a): pass\n")).toEqual([{ rule: "entry-point", item: "H/3", name: "minPath" }]);
});

test("names that any program might have are told apart", () => {
  expect(found("def add(a, b): pass\ndef is_prime(n): pass\n").map(({ rule }) => rule)).toEqual(["generic-entry-point", "generic-entry-point"]);
});
