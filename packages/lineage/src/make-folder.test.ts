import { existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { canMount, smallDisk, temporaryFolder } from "../test/temporary.ts";
import { FolderUnusable } from "./errors.ts";
import { makeFolder } from "./make-folder.ts";

test("a folder is made with those above it, and one that is there is left as it is", () => {
  const path = join(temporaryFolder(), "a", "b");
  makeFolder(path);
  expect(statSync(path).isDirectory()).toBe(true);
  writeFileSync(join(path, "kept"), "");
  makeFolder(path);
  expect(existsSync(join(path, "kept"))).toBe(true);
});

test("a link to a folder is one", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "a"));
  symlinkSync("a", join(folder, "link"));
  makeFolder(join(folder, "link", "b"));
  expect(existsSync(join(folder, "a", "b"))).toBe(true);
});

const folder = (): string => {
  const path = temporaryFolder();
  writeFileSync(join(path, "file"), "");
  symlinkSync("nowhere", join(path, "dangling"));
  return path;
};

test.each([
  ["file", "a file of that name (EEXIST)", ""],
  ["file/below", "a file of that name (EEXIST)", "file"],
  ["dangling", "a file of that name (EEXIST)", ""],
  ["x".repeat(300), "too long a name (ENAMETOOLONG)", ""],
])("%s cannot be one, and what stands in the way is named", (name, found, at) => {
  const parent = folder();
  const path = join(parent, name);
  expect(() => makeFolder(path)).toThrow(FolderUnusable);
  expect(() => makeFolder(path)).toThrow(`${path}: expected a folder, or a place to make one, found ${found}${at && ` at ${join(parent, at)}`}. Name another one.`);
});

test.runIf(process.platform === "linux").each(["/proc/none", "/proc/none/below", "/proc/self/fd/none/below"])("%s is refused at once", (path) => {
  expect(() => makeFolder(path)).toThrow(expect.objectContaining({ code: "FolderUnusable", message: expect.stringContaining("found none (ENOENT)") as string }));
});

test.runIf(canMount)("a full disk is told as such", () => {
  const disk = smallDisk(64, 2);
  expect(() => makeFolder(join(disk, "a", "b", "c"))).toThrow(expect.objectContaining({ code: "DiskFull" }));
});
