import { spawnSync } from "node:child_process";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { canMount, folderWith, smallDisk, temporaryFolder } from "../test/temporary.ts";
import { writeFolder } from "./write-folder.ts";

const two = async (incoming: string) => {
  await writeFile(join(incoming, "a"), "1");
  await writeFile(join(incoming, "b"), "2");
  return "done";
};

test("files appear once all are written, in a folder that is new or empty", async () => {
  const root = temporaryFolder();
  for (const folder of [join(root, "some", "new"), temporaryFolder()]) {
    const seen = await writeFolder(folder, async (incoming) => {
      await two(incoming);
      return (await readdir(folder)).filter((name) => !name.startsWith("."));
    });
    expect(seen).toEqual([]);
    expect((await readdir(folder)).sort()).toEqual(["a", "b"]);
    expect(await readFile(join(folder, "b"), "utf8")).toBe("2");
  }
});

test("a folder with files, and a file, are left as they are", async () => {
  const folder = folderWith({ a: "mine" });
  await expect(writeFolder(folder, two)).rejects.toMatchObject({ code: "FolderTaken", message: `${folder}: expected an empty or new folder, found 1 files. Name another one.` });
  await expect(writeFolder(join(folder, "a"), two)).rejects.toMatchObject({ code: "FolderUnusable" });
  expect(await readFile(join(folder, "a"), "utf8")).toBe("mine");
  expect(await readdir(folder)).toEqual(["a"]);
});

test("a failure leaves nothing, and the folder only where it was there", async () => {
  const failing = async (incoming: string) => two(incoming).then(() => Promise.reject(new Error("no")));
  const root = temporaryFolder();
  await expect(writeFolder(root, failing)).rejects.toThrow("no");
  expect(await readdir(root)).toEqual([]);
  await expect(writeFolder(join(root, "new"), failing)).rejects.toThrow("no");
  expect(await readdir(root)).toEqual([]);
});

test("a process that is killed leaves no file; the next call removes what it left", async () => {
  const folder = join(temporaryFolder(), "target");
  const source = new URL("./write-folder.ts", import.meta.url).href;
  const script = `import { writeFileSync } from "node:fs"; import { writeFolder } from "${source}"; await writeFolder("${folder}", async (incoming) => { writeFileSync(incoming + "/a", "half"); process.kill(process.pid, "SIGKILL"); });`;
  expect(spawnSync(process.execPath, ["--input-type=module", "-e", script]).signal).toBe("SIGKILL");
  expect(await readdir(folder)).toEqual([expect.stringMatching(/^\.incoming-/)]);
  expect(await writeFolder(folder, two)).toBe("done");
  expect((await readdir(folder)).sort()).toEqual(["a", "b"]);
});

test.skipIf(!canMount)("a full disk is DiskFull, and leaves nothing (needs root to mount a small disk)", async () => {
  const disk = smallDisk(64);
  const write = async (incoming: string) => writeFile(join(incoming, "a"), "x".repeat(100_000));
  await expect(writeFolder(join(disk, "new"), write)).rejects.toMatchObject({ code: "DiskFull", details: { path: join(disk, "new") } });
  await expect(writeFolder(disk, write)).rejects.toMatchObject({ code: "DiskFull" });
  expect(await readdir(disk)).toEqual([]);
  await writeFolder(disk, two); // the root of a mount may be filled
  expect((await readdir(disk)).sort()).toEqual(["a", "b"]);
});
