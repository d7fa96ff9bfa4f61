import fc from "fast-check";
import { expect, test } from "vitest";
import { ContaminationIndex, plantItems, renameVariables } from "./contamination.ts";

// Twelve words; runs of ten begin at `return`, `the` and `widest`.
const ITEM = { id: "Tiny/0", text: "Return the widest gap between two neighbours of a sorted list, quickly" };
const numbered = (count: number, first = 0) => Array.from({ length: count }, (_, i) => `w${first + i}`).join(" ");

test("a text that shares ten words in a row with an item is found, by the item's id", () => {
  const index = new ContaminationIndex([ITEM]);
  // `the` to `list` is ten words: the second run of the item.
  expect(index.itemIn("# sort; the widest gap between two neighbours of a sorted list. Done")).toBe("Tiny/0");
});

test("nine words in a row are not enough", () => {
  const index = new ContaminationIndex([ITEM]);
  expect(index.itemIn("# sort; the widest gap between two neighbours of a sorted. Done")).toBeUndefined();
  expect(index.itemIn("widest gap between two neighbours of a sorted list")).toBeUndefined();
});

test("ten words that are not in a row are not enough", () => {
  expect(new ContaminationIndex([ITEM]).itemIn("the widest gap between two or more neighbours of a sorted list")).toBeUndefined();
});

test("upper case, punctuation and white space make no difference; underscores and digits are parts of words", () => {
  const index = new ContaminationIndex([{ id: "a", text: "f(x_1, y) + G[2] * h / i - j % k ** L" }]); // f x_1 y g 2 h i j k l
  expect(index.itemIn("F X_1\n\tY g 2\nH I J K l")).toBe("a");
  expect(index.itemIn("f x 1 y g 2 h i j k l")).toBeUndefined();
});

test("the length of the run is a setting, and a run may be the whole text", () => {
  const items = [{ id: "a", text: "one two three four" }];
  expect(new ContaminationIndex(items, 3).itemIn("two three four")).toBe("a");
  expect(new ContaminationIndex(items, 4).itemIn("one two three")).toBeUndefined();
  expect(new ContaminationIndex(items, 4).itemIn("one two three four")).toBe("a");
});

test("items too short to hold a run are counted apart, as no text can be found to repeat them", () => {
  const index = new ContaminationIndex([{ id: "nine", text: numbered(9) }, { id: "ten", text: numbered(10, 100) }, { id: "none", text: "()" }]);
  expect(index.itemCount).toBe(3);
  expect(index.tooShort).toEqual(["nine", "none"]);
  expect(index.itemIn(numbered(9))).toBeUndefined();
  expect(index.itemIn(numbered(10, 100))).toBe("ten");
});

test("the first item with a run is named, and of a text's runs the first that is shared", () => {
  const index = new ContaminationIndex([{ id: "a", text: numbered(10) }, { id: "b", text: numbered(11) }]);
  expect(index.itemIn(numbered(10))).toBe("a"); // b holds this run too
  expect(index.itemIn(numbered(10, 1))).toBe("b"); // w1 to w10
  expect(index.itemIn(`${numbered(10, 1)} . ${numbered(10)}`)).toBe("b");
});

test("without items nothing is contaminated", () => {
  const index = new ContaminationIndex([]);
  expect(index.itemIn(numbered(100))).toBeUndefined();
  expect([index.itemCount, index.tooShort]).toEqual([0, []]);
});

test("a text is found exactly when the longest run it shares with an item is as long as asked for", () => {
  const words = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 14 });
  fc.assert(
    fc.property(words, words, fc.integer({ min: 1, max: 5 }), (item, text, length) => {
      const shares = item.some((_, i) => text.some((_, j) => i + length <= item.length && item.slice(i, i + length).join() === text.slice(j, j + length).join()));
      expect(new ContaminationIndex([{ id: "x", text: item.join(" ") }], length).itemIn(text.join(" "))).toBe(shares ? "x" : undefined);
    }),
    { numRuns: 500 },
  );
});

test("each planted item is found in clear; renaming hides those whose runs all hold a renamed word", () => {
  const items = [
    { id: "prose", text: 'def f(values):\n    """Return the widest gap between two neighbours of a sorted list of numbers."""\n' },
    { id: "code", text: "def g(a, b):\n    c = a\n    for d in b:\n        c = c + d\n    return c\n" },
    { id: "short", text: "x" },
  ];
  expect(plantItems(new ContaminationIndex(items), items)).toEqual({ planted: 2, foundInClear: 2, foundRenamed: 1 });
});

test("a control that finds nothing shows an index that holds nothing of its items", () => {
  expect(plantItems(new ContaminationIndex([]), [{ id: "a", text: numbered(20) }])).toEqual({ planted: 1, foundInClear: 0, foundRenamed: 0 });
});

test("renaming changes parameters, assigned names and loop variables, and no other word", () => {
  expect(renameVariables("def f(a: int, b=1):\n    c = a\n    for d in b:\n        print(d, c == 1)\n")).toBe(
    "def f(renamed_0: int, renamed_1=1):\n    renamed_2 = renamed_0\n    for renamed_3 in renamed_1:\n        print(renamed_3, renamed_2 == 1)\n",
  );
});

test("a shared run is told with its words", () => {
  expect(new ContaminationIndex([ITEM]).find("see the WIDEST gap between two neighbours of a sorted list")).toEqual({ item: "Tiny/0", run: "the widest gap between two neighbours of a sorted list" });
});
