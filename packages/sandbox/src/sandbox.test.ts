import { execFile, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { descendantsOf } from "../test/attacks.ts";
import { findTools } from "./find-tools.ts";
import { createSandbox, probeSandbox, type Sandbox, type SandboxJob } from "./index.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await createSandbox({ limits: { wallMs: 60_000, cpuSeconds: 1 } });
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
    ["memory", "def add(a, b): return len(bytearray(2 << 30))", "MemoryError: ", 0],
    ["output-limit", "def add(a, b):\n  while True: print('x' * 9999)", "wrote more than 1048576 bytes", 0],
    ["crashed", "import ctypes\ndef add(a, b): ctypes.string_at(0)", "SIGSEGV", 0],
    ["crashed", "import os\ndef add(a, b): os._exit(3)", "exited with code 3", 0],
  ])("%s: %s", async (status, candidate, cause, passedChecks) => {
    expect(await run(candidate)).toMatchObject({ status, cause, passedChecks, totalChecks: 3 });
  });

  it("count every check, also behind one that failed, and name the first", async () => {
    const verdict = await run("def add(a, b): return {1: 3, 2: 5, -1: 0}[a]", { checks: ["assert add(1, 2) == 3", "assert add(2, 2) == 4, 'two and two'", "assert add(-1, 1) == 0", "add(3, 3)"] });
    expect(verdict).toMatchObject({ status: "failed", cause: "two and two", passedChecks: 2, totalChecks: 4 });
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

  it("keep what had passed before a limit was reached", async () => {
    const checks = [...CHECKS, "add(9, 9)", "assert add(1, 2) == 3"];
    const verdict = await run("def add(a, b):\n  while a == 9: pass\n  return a + b", { checks });
    expect(verdict).toMatchObject({ status: "timeout", cause: "processor time: 1 s", passedChecks: 3, totalChecks: 5 });
  });

  it("count the memory of all processes together", async () => {
    const hold = "import os, time\nheld = bytearray(os.urandom(1 << 20)) * 40\nfor _ in range(5):\n  if os.fork() == 0:\n    held[0:1] = held.upper()[0:1]; more = bytes(held); time.sleep(60)\ndef add(a, b): time.sleep(60)";
    expect(await run(hold, { limits: { memoryBytes: 128 << 20 } })).toMatchObject({ status: "memory", cause: "more than 134217728 bytes in all processes" });
  });

  it("keep to the limits of a job", async () => {
    const verdict = await run("import time\ndef add(a, b): time.sleep(60)", { limits: { wallMs: 200 } });
    expect(verdict).toMatchObject({ status: "timeout", cause: "wall clock: 200 ms" });
    expect(verdict.wallMs).toBeGreaterThanOrEqual(200);
    expect(verdict.wallMs).toBeLessThan(5000);
  });
});

describe("tests", () => {
  const passes = async (candidate: string, check: string, job: Partial<SandboxJob> = {}) =>
    expect(await run(candidate, { checks: [check], ...job })).toMatchObject({ status: "passed", cause: "all checks passed" });

  it("of unittest are run, and all have to pass", async () => {
    const tests = (expected: number) => `import unittest\nclass T(unittest.TestCase):\n  def setUp(self): self.b = 2\n  def test_one(self): self.assertEqual(add(1, self.b), 3)\n  def test_two(self): self.assertEqual(add(2, self.b), ${expected})`;
    await passes("def add(a, b): return a + b", tests(4));
    expect(await run("def add(a, b): return a + b", { checks: [tests(5)] })).toMatchObject({ status: "failed", cause: "4 != 5", passedChecks: 0 });
    const subtests = "import unittest\nclass T(unittest.TestCase):\n  def test(self):\n    for i in range(3):\n      with self.subTest(i): self.assertEqual(add(i, 1), 1)";
    expect(await run("def add(a, b): return a + b", { checks: [subtests] })).toMatchObject({ status: "failed", cause: "2 != 1" });
  });

  it("can expect exceptions, also of a class that the program has made", async () => {
    const check = "try: add(1, 2)\nexcept ValueError as error: assert error.args == ('no', 3), error.args\nelse: assert False";
    await passes("def add(a, b): raise ValueError('no', 3)", check);
    await passes("class Own(ValueError): pass\ndef add(a, b): raise Own('no', 3)", check);
    await passes("import json\ndef add(a, b): json.loads('{')", "import json\ntry: add(1, 2)\nexcept json.JSONDecodeError: pass\nelse: assert False");
    expect(await run("def add(a, b): raise KeyError('no')", { checks: [check] })).toMatchObject({ status: "error", cause: "KeyError: 'no'" });
  });

  it("get stand-ins for objects, which the program gets back as they were", async () => {
    const tree = "class Node:\n  def __init__(self, value): self.value, self.left = value, None\ndef depth(node): return 0 if node is None else 1 + depth(node.left)\ndef same(node): return node";
    const check = "root = Node(1)\nroot.left = Node(2)\nassert depth(root) == 2 and root.left.value == 2 and root.left.left is None\nassert same(root) is same(root) and same(root) is not root.left and same(root) != 1";
    await passes(tree, check, { entryPoints: ["Node", "depth", "same"] });
  });

  it("call methods of the objects of a class that the job names", async () => {
    const account = "class Account:\n  def __init__(self): self.balance = 0\n  def deposit(self, amount):\n    if amount < 0: raise ValueError\n    self.balance += amount";
    const check = "account = Account()\naccount.deposit(5)\naccount.deposit(amount=7)\nassert account.balance == 12";
    await passes(account, check, { entryPoints: ["Account"], classes: ["Account"] });
  });

  it("take iterators one item at a time, and functions that return functions", async () => {
    await passes("import itertools\ndef add(a, b): return itertools.count(a + b)", "it = add(1, 2)\nassert [next(it), next(it)] == [3, 4]");
    await passes("def add(a, b): yield a; yield b", "assert list(add(1, 2)) == [1, 2]");
    await passes("def add(a): return lambda b: a + b", "assert add(1)(2) == 3");
    await passes("import re\ndef add(a, b): return re.match(a, b)", "assert add('a', 'ab') and not add('x', 'ab') and add('a', 'ab').group() == 'a'");
  });

  it("see instances of subclasses as what they hold, and say so of other objects", async () => {
    const named = "import collections, enum\nPoint = collections.namedtuple('Point', 'x y')\nColour = enum.IntEnum('Colour', 'RED')\ndef add(a, b): return [Point(a, b), Colour.RED]";
    await passes(named, "assert add(1, 2) == [(1, 2), 1]");
    expect(await run("class A: pass\ndef add(a, b): return A()", { checks: ["assert add(1, 2) == 3"] })).toMatchObject({ status: "failed", cause: "assertion (the program returned a A, which is not plain data)" });
  });

  it.each([
    ["do not compile", "assert add(1, 2) ==", /check 0 does not compile: invalid syntax/],
    ["never call the program", "assert 1 + 2 == 3", /none of them calls the program/],
    ["pass a function", "add(1, lambda: 2)", /pass a function to the program/],
    ["catch the complaint", "try: add(1, lambda: 2)\nexcept BaseException: pass", /pass a function to the program/],
    ["hold no test", "import unittest\nclass T(unittest.TestCase):\n  @unittest.skip('later')\n  def test(self): add(1, 2)", /runs no test/],
  ])("that %s are an error, not a verdict", async (_, check, message) => {
    await expect(run("def add(a, b): return a", { checks: [check] })).rejects.toMatchObject({ code: "ChecksInvalid", retryable: false, message: expect.stringMatching(message) as string });
    expect(await run("def add(a, b): return a + b")).toMatchObject({ status: "passed" });
  });

  it("that end their own process are a fault, after which the next program is judged", async () => {
    await expect(run("def add(a, b): return a", { checks: ["import os\nos._exit(0)"] })).rejects.toMatchObject({ code: "SandboxFault", retryable: true, message: expect.stringContaining("a referee that ended") as string });
    expect(await run("def add(a, b): return a + b")).toMatchObject({ status: "passed" });
  });
});

describe("packages", () => {
  const folder = mkdtempSync(join(tmpdir(), "packages-"));
  beforeAll(() => {
    chmodSync(folder, 0o755); // the sandbox's user reads it
    mkdirSync(join(folder, "added"));
    writeFileSync(join(folder, "added/__init__.py"), "answer = 3\n");
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("of a folder can be imported by programs and tests, and not be changed; without it they are not there", async () => {
    const job = { candidate: "def add(a, b):\n  import added\n  try: open(added.__file__, 'w')\n  except OSError: return added.answer", checks: ["import added\nassert add(1, 2) == added.answer"], entryPoints: ["add"] };
    const own = await createSandbox({ workers: 1, packages: folder });
    expect(await own.run(job)).toMatchObject({ status: "passed" });
    await own.close();
    expect(await run(job.candidate, { checks: ["assert add(1, 2) == 3"] })).toMatchObject({ status: "error", cause: "ModuleNotFoundError: No module named 'added'" });
  });

  it("are refused where the folder is not there", async () => {
    await expect(createSandbox({ packages: join(folder, "nothing") })).rejects.toMatchObject({ code: "SandboxUnavailable", message: expect.stringContaining("Give a folder of packages that is there and that every user can read.") as string });
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

  // A user namespace of its own makes its own limit: none, so that bubblewrap fails, or just its two, so that cells in it do.
  it.each([
    [0, "bwrap that does not start"],
    [2, "namespaces of its own for a test"],
  ])("is refused with the fix where %i user namespaces are allowed", async (count, found) => {
    const script = `import { createSandbox } from "@diffucoder/sandbox"; await createSandbox().then((s) => s.close(), ({ code, message }) => console.log(JSON.stringify({ code, message })));`;
    const command = `echo ${count} > /proc/sys/user/max_user_namespaces && exec "$0" "$@"`;
    const { stdout } = await promisify(execFile)("unshare", ["--user", "--map-root-user", "sh", "-c", command, process.execPath, "--conditions=@diffucoder/source", "--input-type=module", "--eval", script], { cwd: import.meta.dirname });
    expect(JSON.parse(stdout)).toEqual({ code: "SandboxUnavailable", message: expect.stringMatching(new RegExp(`${found}.*sudo sysctl user\\.max_user_namespaces=10000`, "s")) as string });
  });

  it("takes no jobs once it is closed", async () => {
    const own = await createSandbox({ workers: 1 });
    await own.close();
    await expect(own.run({ candidate: "def add(a, b): return a + b", checks: CHECKS, entryPoints: ["add"] })).rejects.toMatchObject({ code: "SandboxFault" });
  });
});
