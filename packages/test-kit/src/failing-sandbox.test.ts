import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { withFailingSandbox, withVariable } from "./failing-sandbox.ts";

const startOf = () => text(spawn("bwrap", ["--version"]).stdout);

test.each([[0, 0], [2, 2], [Infinity, 4]])("of four sandboxes that start at once, %d deaths take %d", async (deaths, dead) => {
  const path = process.env.PATH;
  const starts = await withFailingSandbox(deaths, () => Promise.all(Array.from({ length: 4 }, startOf)));
  expect(starts.filter((output) => output === '{"ready":""}\n')).toHaveLength(dead);
  expect(starts.filter((output) => output.startsWith("bubblewrap"))).toHaveLength(4 - dead);
  expect(process.env.PATH).toBe(path);
});

test("a variable has its value while the work lasts, and is gone again where there was none", async () => {
  await expect(withVariable("TEST_KIT", "a", async () => Promise.reject(new Error(process.env.TEST_KIT)))).rejects.toThrow("a");
  expect("TEST_KIT" in process.env).toBe(false);
});
