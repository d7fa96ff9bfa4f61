import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { versionOfSources } from "./source-mode.ts";

const packages = mkdtempSync(join(tmpdir(), "source-mode-"));
afterAll(() => rmSync(packages, { recursive: true }));

const write = (path: string, text: string): string => {
  mkdirSync(dirname(join(packages, path)), { recursive: true });
  writeFileSync(join(packages, path), text);
  return versionOfSources(packages);
};

it("tells sources apart by TypeScript, Python and C++, not by tests and what is built", () => {
  const versions = [write("a/src/stage.ts", "1"), write("a/src/inside/run.py", "1"), write("b/native/kernel.cc", "1"), write("b/native/kernel.cc", "12"), write("a/src/inside/run.py", "12")];
  expect(new Set(versions).size).toBe(versions.length);
  mkdirSync(join(packages, "b/native/build"));
  const version = versionOfSources(packages);
  for (const path of ["b/native/build/x/kernels.so", "b/test/fixtures.ts", "b/README.md"]) expect(write(path, "1")).toBe(version);
  write("a/src/stage.test.ts", "1");
  const withTest = versionOfSources(packages);
  expect(write("a/src/stage.test.ts", "12")).toBe(withTest);
});
