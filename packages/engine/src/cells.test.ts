import fc from "fast-check";
import { expect, test } from "vitest";
import { apart, cellsOf, joined } from "./cells.ts";

const VARIABLES = { a: [2, 3], norm: [4], b: [1, 3], c: [3, 3], scale: [] };

test("a variable is a cell, joined ones are one where the first of them stands, in the order of the join", () => {
  const cells = cellsOf({ variables: VARIABLES, joins: { all: ["c", "a", "b"] } });
  expect(cells.map(({ name, shape }) => [name, shape])).toEqual([["all", [6, 3]], ["norm", [4]], ["scale", []]]);
  expect(cells[0]!.members).toEqual([
    { name: "c", shape: [3, 3], first: 0, count: 9 },
    { name: "a", shape: [2, 3], first: 9, count: 6 },
    { name: "b", shape: [1, 3], first: 15, count: 3 },
  ]);
  expect(cellsOf({ variables: VARIABLES }).map(({ name }) => name)).toEqual(Object.keys(VARIABLES));
});

test.each([
  [{ all: ["a", "d"] }, "join all: expected variables of no other join, found d, no variable"],
  [{ all: ["a", "b"], more: ["b", "c"] }, "join more: expected variables of no other join, found b, one of all"],
  [{ all: ["a", "a"] }, "join all: expected variables of no other join, found a, one of all"],
  [{ norm: ["a", "b"] }, "join norm: expected a name that no variable has, found a variable's"],
  [{ all: ["a", "norm"] }, "join all: expected variables of [n,3], found norm of [4]"],
  [{ all: ["norm", "scale"] }, "join all: expected variables of [n], found scale of []"],
])("%j is refused by name", (joins, message) => {
  expect(() => cellsOf({ variables: VARIABLES, joins })).toThrow(expect.objectContaining({ code: "WrongVariable", message }));
});

test("values that are joined come apart as they were", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 3 }), (rows, width) => {
      const variables = Object.fromEntries(rows.map((count, i) => [`v${i}`, [count, width]]));
      const values = new Map(rows.map((count, i) => [`v${i}`, { shape: [count, width], data: Float32Array.from({ length: count * width }, (_, k) => 100 * i + k) }]));
      const [cell] = cellsOf({ variables, joins: { all: Object.keys(variables) } });
      expect(new Map(apart(cell!, joined(cell!, values)))).toEqual(values);
      expect([...joined(cell!, values)]).toEqual([...values.values()].flatMap(({ data }) => [...data]));
    }),
  );
});
