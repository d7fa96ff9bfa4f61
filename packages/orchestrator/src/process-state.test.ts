import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { isOurs, withLock } from "./process-state.ts";

const folder = mkdtempSync(join(tmpdir(), "state-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a lock lets one at a time through, and the next one after a failure", async () => {
  const path = join(folder, "lock");
  let inside = 0;
  const work = (fails: boolean) => async () => {
    expect((inside += 1)).toBe(1);
    await sleep(20);
    inside -= 1;
    if (fails) throw new Error("told to");
  };
  const results = await Promise.allSettled([withLock(path, work(false)), withLock(path, work(true)), withLock(path, work(false))]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
});

test("the lock of a dead process is taken over", async () => {
  const path = join(folder, "stale");
  writeFileSync(path, String(spawnSync("true").pid));
  expect(await withLock(path, async () => "mine")).toBe("mine");
});

test("a process is known by its command line, since pids are used again", () => {
  expect(isOurs(process.pid, "node")).toBe(true);
  expect(isOurs(process.pid, "no such word in it")).toBe(false);
});
