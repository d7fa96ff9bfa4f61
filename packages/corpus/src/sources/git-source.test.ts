import { execFileSync } from "node:child_process";
import { chmod, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { loadEntries } from "../../test/load-entries.ts";
import { temporaryDirectory, writeTree } from "../../test/temporary-directory.ts";
import { listGit } from "./git-source.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

const AUTHOR = { GIT_AUTHOR_NAME: "A", GIT_AUTHOR_EMAIL: "a@example.com", GIT_COMMITTER_NAME: "A", GIT_COMMITTER_EMAIL: "a@example.com", GIT_AUTHOR_DATE: "2024-02-03T04:05:06Z", GIT_COMMITTER_DATE: "2024-02-03T04:05:06Z" };

async function repositoryOf(files: Record<string, string | Uint8Array>) {
  vi.stubEnv("DIFFUCODER_CACHE", await temporaryDirectory());
  const directory = await temporaryDirectory();
  const git = (...words: string[]) => execFileSync("git", ["-C", directory, ...words], { encoding: "utf8", env: { ...process.env, ...AUTHOR, GIT_CONFIG_GLOBAL: "/dev/null" } }).trim();
  const commit = () => {
    git("add", "--all");
    git("commit", "--quiet", "--allow-empty", "-m", "x");
    return git("rev-parse", "HEAD");
  };
  git("init", "--quiet");
  await writeTree(directory, files);
  return { directory, git, commit };
}

const read = (repository: string, commit: string) => loadEntries(listGit({ card: "tiny", repository, commit, license: "MIT", largestFileBytes: 100 }));

test("files are those of the commit, whatever came later, in order of their paths, with where and when", async () => {
  const { directory, commit } = await repositoryOf({ "b.py": "b = 1\n", "a/ü c.py": "", "a.py": Uint8Array.of(0, 10, 255), "large.txt": "x".repeat(101) });
  await symlink("/etc/passwd", join(directory, "link.py"));
  const first = commit();
  await writeFile(join(directory, "b.py"), "b = 2\n");
  await rm(join(directory, "a.py"));
  const second = commit();
  const files = await read(directory, first);
  expect(files.map(({ path, bytes }) => [path, "reason" in bytes ? bytes : [...bytes]])).toEqual([
    ["a.py", [0, 10, 255]],
    ["a/ü c.py", []],
    ["b.py", [...Buffer.from("b = 1\n")]],
    ["large.txt", { reason: "too-large", sizeBytes: 101 }],
    ["link.py", { reason: "link", sizeBytes: 11 }],
  ]);
  expect(files[0]).toMatchObject({ license: "MIT", repository: directory, commit: first, committedAt: "2024-02-03T04:05:06.000Z" });
  expect((await read(directory, second)).map(({ path }) => path)).toEqual(["a/ü c.py", "b.py", "large.txt", "link.py"]);
});

test("a commit is fetched once; afterwards the repository may be gone", async () => {
  const { directory, commit } = await repositoryOf({ "a.py": "a\n" });
  const first = commit();
  expect(await read(directory, first)).toHaveLength(1);
  await rm(directory, { recursive: true });
  expect(await read(directory, first)).toHaveLength(1);
});

test("no hook or filter of a repository is run, and nothing is checked out", async () => {
  const { directory, commit, git } = await repositoryOf({ ".gitattributes": "*.py filter=evil\n", "a.py": "a\n" });
  const first = commit();
  const marker = join(directory, "marker");
  git("config", "filter.evil.smudge", `touch ${marker}`);
  await writeTree(directory, { ".git/hooks/post-checkout": `#!/bin/sh\ntouch ${marker}\n` });
  await chmod(join(directory, ".git/hooks/post-checkout"), 0o755);
  expect((await read(directory, first)).map(({ path }) => path)).toEqual([".gitattributes", "a.py"]);
  expect(execFileSync("ls", [directory], { encoding: "utf8" })).toBe("a.py\n");
});

test("a commit or repository that is not there is missing, and a retry may help", async () => {
  const { directory, commit } = await repositoryOf({});
  commit();
  for (const [repository, wanted] of [[directory, "0".repeat(40)], [join(directory, "none"), "1".repeat(40)], ["--upload-pack=touch x", "1".repeat(40)]] as const) {
    await expect(read(repository, wanted)).rejects.toMatchObject({ code: "SourceMissing", retryable: true, message: expect.stringContaining(`card tiny: expected commit ${wanted} of ${repository}, found: `) as string });
  }
});
