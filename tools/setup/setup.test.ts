import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "diffucoder-setup-"));
afterAll(() => rmSync(folder, { recursive: true }));

const ENTRY = join(import.meta.dirname, "index.js");
const setUp = (environment: NodeJS.ProcessEnv = {}) => spawnSync(process.execPath, [ENTRY], { encoding: "utf8", env: { ...process.env, ...environment } });

test("where everything is there, nothing is done", () => {
  expect(setUp()).toMatchObject({ status: 0, stdout: expect.stringMatching(/^set-up: all there \(\d+ ms\)\n$/), stderr: "" });
});

test.each([
  ["TEMPORAL_CLI_PATH", /^\nset-up failed: TEMPORAL_CLI_PATH: expected an executable at \/not\/there, found none\n {2}try: unset TEMPORAL_CLI_PATH\n/],
  ["DIFFUCODER_LIBTENSORFLOW", /^\nset-up failed: DIFFUCODER_LIBTENSORFLOW: expected libtensorflow_cc\.so\.2 in \/not\/there, found none\n {2}try: unset DIFFUCODER_LIBTENSORFLOW\n/],
])("%s that leads nowhere is named, with what helps", (variable, message) => {
  const { status, stdout, stderr } = setUp({ [variable]: "/not/there" });
  expect(status).toBe(1);
  expect(stdout).toMatch(/needs \d+\.\d GB of disk, \d+\.\d GB free/);
  expect(stderr).toMatch(message);
});

test("tools that are missing are named with the one command that helps", () => {
  const nothing = join(folder, "path");
  mkdirSync(nothing);
  // Not root and without apt as far as the set-up can tell: nothing can be installed.
  const { status, stderr } = setUp({ PATH: nothing, TEMPORAL_CLI_PATH: process.execPath });
  expect(status).toBe(1);
  expect(stderr).toMatch(/set-up failed: sandbox tools: expected bwrap and python3 on the PATH, found one missing\n {2}try: sudo apt-get install -y bubblewrap python3\n/);
});

/** Runs a module's code against the set-up's own functions. */
function script(code: string): string {
  const file = join(folder, `script-${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(file, code);
  const { stdout, stderr } = spawnSync(process.execPath, [file], { encoding: "utf8", env: { ...process.env, DIFFUCODER_CACHE: folder } });
  return stdout + stderr;
}

const steps = JSON.stringify(join(import.meta.dirname, "steps.js"));
const cache = JSON.stringify(join(import.meta.dirname, "cache.js"));

test("steps run side by side, but after those they wait for; a failure is the set-up's", () => {
  const output = script(`
    import { runSteps, SetupError } from ${steps};
    const step = (name, after, work) => ({ name, megabytes: 1, after, check: async () => undefined, run: work });
    const events = [];
    const slow = (name, ms) => async () => { events.push("+" + name); await new Promise((r) => setTimeout(r, ms)); events.push("-" + name); return "made"; };
    await runSteps([step("a", [], slow("a", 100)), step("b", [], slow("b", 20)), step("c", ["a"], slow("c", 1))]);
    console.log(events.join());
    await runSteps([step("d", [], async () => { throw new SetupError("d: broken", "mend it"); }), step("e", ["d"], slow("e", 1))]).catch((error) => console.log(error.message + " " + error.next + " " + events.includes("+e")));
    await runSteps([{ name: "f", megabytes: 1, after: [], check: async () => "there" }]);
    await runSteps([{ ...step("g", [], slow("g", 1)), megabytes: 1e12 }]).catch((error) => console.log(error.message));
  `);
  expect(output).toContain("+a,+b,-b,-a,+c,-c\n");
  expect(output).toMatch(/ {2}a: made \(\d+\.\d s\)/);
  expect(output).toContain("d: broken mend it false\n");
  expect(output).toMatch(/set-up: all there \(\d+ ms\)/);
  expect(output).toMatch(/expected \d+\.\d GB of free disk, found \d+\.\d GB/);
});

test("the lock of a dead set-up is taken over, that of a live one waited for", () => {
  const dead = spawnSync("true").pid;
  writeFileSync(join(folder, "setup.lock"), String(dead));
  expect(script(`import { withLock } from ${cache}; console.log(await withLock(async () => "mine"));`)).toBe("set-up: another one is at work; waiting for it\nmine\n");
  expect(existsSync(join(folder, "setup.lock"))).toBe(false);

  const other = spawnSync("sh", ["-c", "sleep 1 > /dev/null & echo $!"], { encoding: "utf8" }).stdout;
  writeFileSync(join(folder, "setup.lock"), other.trim());
  const start = Date.now();
  expect(script(`import { withLock } from ${cache}; console.log(await withLock(async () => "mine"));`)).toContain("waiting for it\nmine\n");
  expect(Date.now() - start).toBeGreaterThan(900);
});
