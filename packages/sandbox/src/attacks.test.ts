import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ADD_CHECKS, descendantsOf, readAttacks } from "../test/attacks.ts";
import { createSandbox, type Sandbox, type SandboxJob } from "./index.ts";

let sandbox: Sandbox;
let port = 0;
let connections = 0;
const server = createServer((socket) => {
  connections++;
  socket.destroy();
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as { port: number }).port;
  sandbox = await createSandbox({ workers: 1, limits: { wallMs: 700, cpuSeconds: 1 } });
});

afterAll(async () => {
  await sandbox.close();
  server.close();
});

const RIGHT = "def add(a, b): return a + b";
const run = (candidate: string, job: Partial<SandboxJob> = {}) => sandbox.run({ candidate, checks: ADD_CHECKS, entryPoints: ["add"], ...job });

describe("attacks", () => {
  let atRest: number[] = [];
  beforeAll(async () => {
    await run(RIGHT);
    atRest = descendantsOf(process.pid);
  });

  it.each(readAttacks(0).map(({ name }) => name))("%s", async (name) => {
    const verdict = await run(readAttacks(port).find((attack) => attack.name === name)!.program);
    expect(verdict).toMatchObject({ passedChecks: 0, totalChecks: 2 });
    expect(verdict.status).not.toBe("passed");
    expect(verdict.wallMs).toBeLessThan(5000);
    expect(await run(RIGHT, { limits: { wallMs: 10_000 } })).toMatchObject({ status: "passed" });
  });

  it("reach no server of this machine", () => expect(connections).toBe(0));

  it("leave no process behind", async () => {
    // A killed process may wait a moment to be reaped.
    await vi.waitFor(() => expect(descendantsOf(process.pid).filter((pid) => !atRest.includes(pid))).toEqual([]), { timeout: 5000 });
  });
});

describe("attacks on tests that are less strict", () => {
  const refused = async (candidate: string, check: string, job: Partial<SandboxJob> = {}) => {
    const verdict = await run(candidate, { checks: [check], ...job });
    expect(verdict.passedChecks).toBe(0);
    return expect(verdict);
  };

  it("an answer whose own method would learn what is expected", async () => {
    const sly = "class A:\n  def issubset(self, other): return True\ndef add(a, b): return A()";
    (await refused(sly, "assert add(1, 2).issubset({3})")).toMatchObject({ cause: expect.stringContaining("passes arguments to a method of an object") as string });
  });

  it("the same function given directly first, so that it may be called", async () => {
    const sly = "f = lambda *a: True\nclass A: issubset = staticmethod(f)\ndef add(a, b): return f if a == 0 else A()";
    await refused(sly, "add(0, 0)(1)\nassert add(1, 2).issubset({3})");
  });

  it("an object made by a function, where only those of a class are the tests' own", async () => {
    const sly = "class Box:\n  def holds(self, x): return True\ndef make(): return Box()";
    await refused(sly, "assert make().holds(3)", { entryPoints: ["Box", "make"], classes: ["Box"] });
    await refused(sly, "box = Box()\nassert make().holds(3)", { entryPoints: ["Box", "make"], classes: ["Box"] });
  });

  it("ending the loop over the cases", async () => {
    const check = "def judge(case): assert add(*case) == sum(case); return True\nassert all(map(judge, [(1, 2), (2, 2)]))";
    (await refused("def add(a, b): raise StopIteration", check)).toMatchObject({ status: "error", cause: "StopIteration: " });
    await refused("class S(StopIteration): pass\ndef add(a, b): raise S", check);
  });

  it("skipping the test", async () => {
    const check = "import unittest\nclass T(unittest.TestCase):\n  def test(self): self.assertEqual(add(1, 2), 3)";
    await refused("import unittest\ndef add(a, b): raise unittest.SkipTest('no')", check);
    await refused("class SkipTest(Exception): pass\nSkipTest.__module__ = 'unittest.case'\ndef add(a, b): raise SkipTest", check);
  });

  it("ending while the test catches everything", async () => {
    const check = "try: result = add(1, 2)\nexcept BaseException: pass";
    (await refused("import os\ndef add(a, b): os._exit(0)", check)).toMatchObject({ status: "crashed", cause: "exited with code 0" });
    (await refused("class A:\n  def m(self, x): return x\ndef add(a, b): return A()", "try: add(1, 2).m(3)\nexcept BaseException: pass")).toMatchObject({ status: "failed" });
  });

  it("an answer that the tests cannot hand on, as they grow it", async () => {
    (await refused("def add(a, b): return 'é' * (1 << 20)", "assert add(add(1, 2) * 12, 0) == 3", { limits: { wallMs: 10_000 } })).toMatchObject({ status: "memory", cause: expect.stringContaining("too large to send") as string });
  });

  it("an answer that fills the referee's memory", async () => {
    (await refused("def add(a, b): return range(3 << 29)", "assert bytes(len(add(1, 2))) == b'3'", { limits: { wallMs: 10_000 } })).toMatchObject({ status: "failed", cause: "MemoryError: " });
  });

  it("a number that is neither less nor more", async () => {
    await refused("def add(a, b): return float('nan')", "assert abs(add(1, 2) - 3) < 1e-6");
  });
});

describe("one program after another", () => {
  it("finds nothing of the one before in files, modules or random numbers", async () => {
    const program = "import builtins, math, os, random\nseen = [os.listdir('/tmp'), os.listdir('/dev/shm'), math.sqrt(4), sum([1, 2]), random.random()]\nbuiltins.sum = math.sqrt = None\nopen('/tmp/left', 'w').close()\nopen('/dev/shm/left', 'w').close()\nrandom.seed(5)\ndef add(a, b): return seen";
    const checks = ["assert add(1, 2) == [[], [], 2, 3, 0.8444218515250481]"];
    expect(await run(program, { checks })).toMatchObject({ status: "passed" });
    expect(await run(program, { checks })).toMatchObject({ status: "passed" });
  });

  // The needles are kept in two parts, so that no search finds its own.
  const SEARCH = `import ctypes
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
own = "own" + "-needle" * int("1")
def search(first, second):
  first, second, found = first.encode(), second.encode(), 0
  with open('/proc/self/mem', 'rb') as memory:
    for line in open('/proc/self/maps'):
      if ' rw' not in line: continue
      low, high = (int(x, 16) for x in line.split()[0].split('-'))
      memory.seek(low)
      try: content = memory.read(high - low)
      except OSError: continue
      at = content.find(first)
      while at >= 0:
        found += content[at + len(first):at + len(first) + len(second)] == second
        at = content.find(first, at + 1)
  return found`;

  it("finds nothing of the one before in memory, nor of its tests", async () => {
    await run("earlier = 'program-of-before'\ndef add(a, b): return a + b", { checks: ["assert add(1, 2) == 3, 'tests-of-before'"] });
    const checks = [
      "assert search('own', '-needle') > 0", // the search works
      "assert search('program-', 'of-before') == 0",
      "assert search('tests-', 'of-before') == 0",
      "'tests-of-' 'now'; assert search('tests-', 'of-now') == 0",
    ];
    expect(await run(SEARCH, { checks, entryPoints: ["search"] })).toMatchObject({ status: "passed" });
  });
});
