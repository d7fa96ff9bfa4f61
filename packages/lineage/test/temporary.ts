import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";

// In memory where that is to be had: the stores sync all they write, and on a busy disk that takes most of the time.
const ROOT = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A folder that lasts as long as the test that asks for it. */
export function temporaryFolder(root = ROOT): string {
  const folder = mkdtempSync(join(root, "lineage-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A temporary folder with files in it, by relative path. */
export function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = temporaryFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

/** Whether `smallDisk` works here: it needs root on Linux. */
export const canMount: boolean = (() => {
  const folder = mkdtempSync(join(tmpdir(), "lineage-mount-"));
  try {
    mount(folder, 64, 10);
    execFileSync("umount", [folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
})();

/** A file system of its own that holds so many KiB, and so many files and folders. */
export function smallDisk(kibibytes: number, inodes = 1000): string {
  const folder = mkdtempSync(join(tmpdir(), "lineage-disk-"));
  mount(folder, kibibytes, inodes);
  onTestFinished(() => {
    execFileSync("umount", [folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

function mount(folder: string, kibibytes: number, inodes: number): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kibibytes}k,nr_inodes=${inodes}`, "tmpfs", folder], { stdio: "ignore" });
}
