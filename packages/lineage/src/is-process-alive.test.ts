import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { isProcessAlive } from "./is-process-alive.ts";

test("a process is alive until it has ended, whether or not it is reaped", async () => {
  const child = spawn("sleep", ["60"]);
  const pid = child.pid!;
  expect(isProcessAlive(pid)).toBe(true);
  child.kill("SIGKILL");
  // Node reaps between two turns of its loop: until then, what is dead takes signals.
  while (!readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")) spawnSync("true");
  expect(process.kill(pid, 0)).toBe(true);
  expect(isProcessAlive(pid)).toBe(false);
  await once(child, "exit");
  expect(isProcessAlive(pid)).toBe(false);
});

test("another user's process is alive", () => {
  expect(isProcessAlive(1)).toBe(true);
});
