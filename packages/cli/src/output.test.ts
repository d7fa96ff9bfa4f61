import { expect, test } from "vitest";
import { table } from "./output.ts";

test("columns stand under their headings, numbers to the right", () => {
  expect(table(["stage", "tokens"], [["corpus", "-"], ["pretraining", "65.5 G"]])).toBe(["stage        tokens", "corpus            -", "pretraining  65.5 G"].join("\n"));
});

test("a column with words in it stands to the left, and no line ends in spaces", () => {
  expect(table(["a", "state"], [["1", "4 left"], ["22", "done"]])).toBe([" a  state", " 1  4 left", "22  done"].join("\n"));
});

test("a table without rows is its headings", () => expect(table(["run", "state"], [])).toBe("run  state"));
