import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cacheDirectory } from "./cache-directory.ts";

test.each<[NodeJS.ProcessEnv, string]>([
  [{ DIFFUCODER_CACHE: "/c", XDG_CACHE_HOME: "/x" }, "/c"],
  [{ XDG_CACHE_HOME: "/x" }, "/x/diffucoder"],
  [{ DIFFUCODER_CACHE: "", XDG_CACHE_HOME: "" }, join(homedir(), ".cache", "diffucoder")],
  [{}, join(homedir(), ".cache", "diffucoder")],
])("of %o it is %s", (environment, folder) => {
  expect(cacheDirectory(environment)).toBe(folder);
});

test("the process's environment is meant when none is given", () => {
  expect(cacheDirectory()).toBe(cacheDirectory(process.env));
});
