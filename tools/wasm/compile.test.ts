import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { WAT_SOURCES, compileWat } from "./compile.ts";

test.each(WAT_SOURCES)("the module made of %s is up to date", async (source) => {
  const { path, text } = await compileWat(source);
  expect(readFileSync(path, "utf8")).toBe(text);
});
