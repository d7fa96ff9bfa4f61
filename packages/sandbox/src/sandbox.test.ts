import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { descendantsOf } from "../test/attacks.ts";
import { findTools } from "./find-tools.ts";
import { createSandbox, probeSandbox, type Sandbox, type SandboxJob } from "./index.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await createSandbox({ limits: { wallMs: 4000, cpuSeconds: 1 } });
});

afterAll(() => sandbox.close());

const CHECKS = ["assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert add(-1, 1) == 0"];
const run = (candidate: string, job: Partial<SandboxJob> = {}) => sandbox.run({ candidate, checks: CHECKS, entryPoints: ["add"], ...job });

describe("verdicts", () => {
  it.each([
    ["passed", "def add(a, b): return a + b", "all checks passed", 3],
    ["failed", "def add(a, b): return 3", "assertion", 1],
    ["error", "def add(a, b): return a + c", "NameError: name 'c' is not defined", 0],
    ["error", "raise ValueError('at import')", "ValueError: at import", 0],
    ["error", "def sub(a, b): return a - b", "NameError: name 'add' is not defined", 0],
    ["syntax", "def add(a, b) return a", "expected ':' (candidate, line 1)", 0],
    ["syntax", "def add(a, b): return '\0'", "source code string cannot contain null bytes", 0],
    ["timeout", "def add(a, b):\n  while True: pass", "processor time: 1 s", 0],
    ["timeout", "import time\ndef add(a, b): time.sleep(60)", "wall clock: 4000 ms", 0],
    ["memory", "def add(a, b): return len(bytearray(2 << 30))", "MemoryError: ", 0],
    ["output-limit", "def add(a, b):\n  while True: print('x' * 9999)", "wrote more than 1048576 bytes", 0],
    ["crashed", "import ctypes\ndef add(a, b): ctypes.string_at(0)", "SIGSEGV", 0],
    ["crashed", "import os\ndef add(a, b): os._exit(3)", "exited with code 3", 0],
  ])("%s: %s", async (status, candidate, cause, passedChecks) => {
    expect(await run(candidate)).toMatchObject({ status, cause, passedChecks, totalChecks: 3 });
  });

  it("count every check, also behind one that failed, and name the first", async () => {
    const verdict = await run("def add(a, b): return {1: 3, 2: 5, -1: 0}[a]", { checks: ["assert add(1, 2) == 3", "assert add(2, 2) == 4, 'two and two'", "assert add(-1, 1) == 0"] });
    expect(verdict).toMatchObject({ status: "failed", cause: "two and two", passedChecks: 2, totalChecks: 3 });
  });

  it("measure time", async () => {
    const { wallMs, cpuMs } = await run("def add(a, b):\n  sum(range(3_000_000))\n  return a + b", { checks: [CHECKS[0]!] });
    expect(cpuMs).toBeGreaterThan(10);
    expect(wallMs).toBeGreaterThan(cpuMs / 2);
  });

  it("carry plain data of every kind both ways, and changed arguments back", async () => {
    const values = "[None, True, 10**5000, -3, 1.5, float('inf'), 2j, 'ä\\ud800', b'\\x00\\xff', (1, [2]), {1, 2}, frozenset([3]), {'k': {(1,): 2}}]";
    expect(await run("def same(x): return x", { checks: [`for v in ${values}:\n  r = same(v)\n  assert r == v and type(r) is type(v), v`], entryPoints: ["same"] })).toMatchObject({ status: "passed" });
    const checks = ["l, d, s = [2, 1], {}, {1}\nchange(l, d, s)\nassert (l, d, s) == ([1, 2], {'a': 1}, {1, 2})"];
    expect(await run("def change(l, d, s): l.sort(); d['a'] = 1; s.add(2)", { checks, entryPoints: ["change"] })).toMatchObject({ status: "passed" });
    expect(await run("def add(a, b, *, c=0): return a + b + c", { checks: ["assert add(1, b=2, c=3) == 6"] })).toMatchObject({ status: "passed" });
  });

  it("give stand-ins for names that are not entry points", async () => {
    const checks = ["def helper(): return 1\ndef check(f): assert f(1) == helper() + 1\ncheck(__candidate__('inc'))"];
    expect(await run("def helper(): return 99\ndef inc(x): return x + 1", { checks, entryPoints: [] })).toMatchObject({ status: "passed" });
  });

  it("keep to the limits of a job", async () => {
    const verdict = await run("import time\ndef add(a, b): time.sleep(60)", { limits: { wallMs: 200 } });
    expect(verdict).toMatchObject({ status: "timeout", cause: "wall clock: 200 ms" });
    expect(verdict.wallMs).toBeLessThan(700);
  });
});

describe("life and death", () => {
  it("dies with its parent, however that ends", async () => {
    const script = `import { createSandbox } from "@diffucoder/sandbox"; const s = await createSandbox({ workers: 1 }); console.log("ready"); await s.run({ candidate: "import time\\ndef add(a, b): time.sleep(60)", checks: ["add(1, 2)"], entryPoints: ["add"], limits: { wallMs: 60_000 } });`;
    const parent = spawn(process.execPath, ["--conditions=@diffucoder/source", "--input-type=module", "--eval", script], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => parent.stdout.once("data", resolve));
    await expect.poll(() => descendantsOf(parent.pid!).length, { timeout: 5000 }).toBeGreaterThan(8);
    const pids = descendantsOf(parent.pid!);
    parent.kill("SIGKILL");
    await expect.poll(() => pids.filter((pid) => existsSync(`/proc/${pid}`)).length, { timeout: 5000 }).toBe(0);
  });

  it("runs many jobs at once on few workers, and each gets its own verdict", async () => {
    const verdicts = await Promise.all(
      Array.from({ length: 30 }, (_, i) => run(`def add(a, b): return ${i}`, { checks: [`assert add(0, 0) == ${i % 2 === 0 ? i : -1}`] })),
    );
    expect(verdicts.map(({ status }) => status)).toEqual(Array.from({ length: 30 }, (_, i) => (i % 2 === 0 ? "passed" : "failed")));
  });

  it("says what it runs on", async () => {
    expect(await probeSandbox()).toEqual({ bubblewrap: expect.stringMatching(/^bubblewrap/) as string, python: expect.stringMatching(/^Python 3/) as string });
  });

  it("is refused with the fix when bubblewrap is missing", async () => {
    await expect(findTools("/nonexistent")).rejects.toMatchObject({ code: "SandboxUnavailable", message: expect.stringContaining("apt-get install bubblewrap") as string });
  });
});
