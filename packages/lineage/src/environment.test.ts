import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, hostname, release, totalmem, userInfo } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { folderWith } from "../test/temporary.ts";
import { describeCommit, describeEnvironment, describeOperator, machineMemoryBytes, packageVersion } from "./environment.ts";

function git(folder: string, ...args: string[]): string {
  const identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
  return execFileSync("git", ["-C", folder, ...identity, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

test("the environment names Node, platform, kernel and processor", () => {
  expect(describeEnvironment()).toEqual({
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    kernel: release(),
    cpu: cpus()[0]!.model.trim(),
    cores: String(cpus().length),
  });
});

test("memory is the machine's, or what the control group leaves of it", () => {
  const limited = (bytes: number) => vi.spyOn(process, "constrainedMemory").mockReturnValue(bytes);
  for (const [limit, expected] of [[0, totalmem()], [2 ** 64, totalmem()], [5e8, 5e8]] as const) {
    limited(limit);
    expect(machineMemoryBytes()).toBe(expected);
  }
  vi.restoreAllMocks();
});

test("the operator is user and host", () => {
  expect(describeOperator()).toBe(`${userInfo().username}@${hostname()}`);
});

test.skipIf(process.getuid?.() !== 0)("the operator is a number where the user has no entry (needs root to become such a user)", () => {
  process.seteuid!(54321);
  try {
    // Node looks the effective user up; none has this number.
    expect(() => userInfo()).toThrow();
    expect(describeOperator()).toBe(`54321@${hostname()}`);
  } finally {
    process.seteuid!(0);
  }
});

test("the commit is that of the file's checkout, marked when tracked files differ", async () => {
  const folder = folderWith({ "src/entry.ts": "1", "other.txt": "1" });
  const entry = join(folder, "src", "entry.ts");
  expect(await describeCommit(entry)).toBeNull();
  git(folder, "init", "-q");
  expect(await describeCommit(entry)).toBeNull(); // no commit yet
  git(folder, "add", ".");
  git(folder, "commit", "-q", "-m", "first");
  const commit = git(folder, "rev-parse", "HEAD");
  expect(await describeCommit(entry)).toBe(commit);
  writeFileSync(join(folder, "new.txt"), "not tracked");
  expect(await describeCommit(entry)).toBe(commit);
  writeFileSync(join(folder, "other.txt"), "2");
  expect(await describeCommit(entry)).toBe(`${commit}+changes`);
});

test("a package's version is that of the nearest package.json above", async () => {
  const folder = folderWith({
    "package.json": '{"version": "1.0.0"}',
    "inner/package.json": '{"version": "2.0.0"}',
    "inner/src/deep/file.ts": "",
    "file.ts": "",
    "broken/package.json": "{",
    "broken/file.ts": "",
  });
  expect(await packageVersion(join(folder, "inner/src/deep/file.ts"))).toBe("2.0.0");
  expect(await packageVersion(join(folder, "file.ts"))).toBe("1.0.0");
  expect(await packageVersion(join(folder, "broken/file.ts"))).toBe("1.0.0");
  expect(await packageVersion("/nowhere/file.ts")).toBe("unknown");
});
