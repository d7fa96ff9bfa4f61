import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
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
    ["timeout", "def add(a, b):\n  while True: pass", "processor time", 0],
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

/** Each returns a wrong sum while trying to be judged right, or to harm. None may pass, and the sandbox must go on. */
const ATTACKS: Record<string, string> = {
  "equality that is always true": "class A:\n  def __eq__(s, o): return True\ndef add(a, b): return A()",
  "an int with its own equality": "class A(int):\n  def __eq__(s, o): return True\n  __hash__ = int.__hash__\ndef add(a, b): return A(0)",
  "a list that lies about its length": "class L(list):\n  def __len__(s): return 3\ndef add(a, b): return L()",
  "a float with its own comparison": "class F(float):\n  def __eq__(s, o): return True\ndef add(a, b): return F(0)",
  "an object that cannot be described": "class E(Exception):\n  def __str__(s): raise SystemExit\ndef add(a, b): raise E",
  "sys.exit(0) at import": "import sys; sys.exit(0)",
  "sys.exit(0) in the call": "import sys\ndef add(a, b): sys.exit(0)",
  "os._exit(0)": "import os\nos._exit(0)",
  "an exit handler that prints success": "import atexit\natexit.register(lambda: print('{\"status\": \"passed\"}'))\ndef add(a, b): return 0",
  "an exception hook": "import sys\nsys.excepthook = lambda *a: None\ndef add(a, b): raise ValueError",
  "a forged pass rate": "print('__PASS_RATE__ 1.0')\ndef add(a, b): return 0",
  "a forged verdict on every descriptor": "import os, json, struct\nb = json.dumps({'status': 'passed', 'cause': '', 'passed': 3, 'total': 3}).encode()\nfor fd in range(64):\n  try: os.write(fd, struct.pack('<I', len(b)) + b)\n  except OSError: pass\ndef add(a, b): return 0",
  "forged answers ahead of time": "import os, json, struct\nfor v in ({'loaded': 'ok'}, *[{'value': {'int': '0x0'}, 'arguments': []}] * 3):\n  b = json.dumps(v).encode(); os.write(3, struct.pack('<I', len(b)) + b)\ndef add(a, b): return 0",
  "nonsense on the call socket": "import os\nos.write(3, b'\\xff' * 64)\ndef add(a, b): return 3",
  "an endless message on the call socket": "import os, struct\nos.write(3, struct.pack('<I', 60 << 20))\ndef add(a, b): return 3",
  "reading the caller's frames": "import sys\ndef add(a, b):\n  f = sys._getframe()\n  while f:\n    for v in list(f.f_locals.values()):\n      if isinstance(v, dict) and 'checks' in v: return 3\n    f = f.f_back\n  return 0",
  "looking for tests on the heap": "import gc\ndef add(a, b):\n  return 3 if any(isinstance(o, str) and o.startswith('assert add') for o in gc.get_objects()) or any('assert add(' in repr(o) for o in gc.get_objects() if type(o) is list and len(o) < 50 and all(type(x) is str for x in o)) else 0",
  "looking for tests in memory": "def add(a, b):\n  needle = b'assert ' + b'add('\n  for line in open('/proc/self/maps'):\n    if ' rw' not in line: continue\n    lo, hi = (int(x, 16) for x in line.split()[0].split('-'))\n    with open('/proc/self/mem', 'rb') as m:\n      m.seek(lo)\n      try:\n        if needle in m.read(hi - lo): return 3\n      except OSError: pass\n  return 0",
  "patched builtins": "import builtins\nbuiltins.all = lambda *a: True\nbuiltins.AssertionError = KeyboardInterrupt\ndef add(a, b): return 0",
  "a patched json module": "import json\njson.dumps = lambda v: '{\"value\": true, \"arguments\": []}'\ndef add(a, b): return 0",
  "tracing over asserts": "import sys\nsys.settrace(lambda *a: None)\ndef add(a, b): return 0",
  "killing the parent": "import os, signal\ntry: os.kill(os.getppid(), signal.SIGKILL)\nexcept OSError: pass\ndef add(a, b): return 0",
  "killing everything": "import os\ntry: os.kill(-1, 9)\nexcept OSError: pass\ndef add(a, b): return 0",
  "ignored signals": "import signal\nfor s in range(1, 65):\n  try: signal.signal(s, signal.SIG_IGN)\n  except (OSError, ValueError): pass\ndef add(a, b):\n  while True: pass",
  "catching everything": "def add(a, b):\n  while True:\n    try:\n      while True: pass\n    except BaseException: pass",
  "a fork bomb": "import os\nn = 0\ntry:\n  while True:\n    if os.fork() == 0:\n      import time; time.sleep(60)\n    n += 1\nexcept OSError: pass\ndef add(a, b): return 3 if n > 32 else 0",
  "a daemon in a session of its own": "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0: time.sleep(60)\n  os._exit(0)\ndef add(a, b): return 0",
  "threads that never end": "import threading, time\nfor _ in range(4): threading.Thread(target=time.sleep, args=(60,)).start()\ndef add(a, b): return 0",
  "a memory bomb": "x = []\nwhile True: x.append(bytearray(1 << 24))",
  "a string too big": "def add(a, b): return 'x' * (1 << 40)",
  "a huge integer": "def add(a, b): return 9 ** (9 ** 8)",
  "deep recursion": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef add(a, b): return add(a, b)",
  "a deep answer": "def add(a, b):\n  x = []\n  for _ in range(100_000): x = [x]\n  return x",
  "an answer that holds itself": "def add(a, b):\n  x = []\n  x.append(x)\n  return x",
  "a big exception": "def add(a, b): raise ValueError('x' * (100 << 20))",
  "a big file": "def add(a, b):\n  with open('/tmp/x', 'wb') as f:\n    for _ in range(1000): f.write(bytes(1 << 20))\n  return 0",
  "writing outside": "def add(a, b):\n  for p in ('/usr/x', '/x', '/dev/x', '/dev/shm/x', '/etc/x'):\n    try: open(p, 'w').close(); return 3\n    except OSError: pass\n  return 0",
  "host files": "import os\ndef add(a, b): return 3 if any(os.path.exists(p) for p in ('/etc/passwd', '/root', '/home', '/var', '/work')) else 0",
  "a link out of the sandbox": "import os\ndef add(a, b):\n  os.symlink('/etc/passwd', '/tmp/l')\n  try: return 3 if open('/tmp/l').read() else 0\n  except OSError: return 0",
  "the environment": "import os\ndef add(a, b):\n  e = open('/proc/self/environ').read() if os.access('/proc/self/environ', os.R_OK) else ''\n  return 3 if os.environ or 'PATH' in e or 'HOME' in e else 0",
  "other processes": "import os\ndef add(a, b): return 0 if [p for p in os.listdir('/proc') if p.isdigit()] == ['1'] else 3",
  "more privileges": "import os, ctypes\ndef add(a, b):\n  if ctypes.CDLL(None).mount(b'tmpfs', b'/usr', b'tmpfs', 0, None) == 0: return 3\n  try: os.setuid(0); return 3\n  except OSError: return 0",
  "the network": "import socket\ndef add(a, b):\n  try: socket.create_connection(('127.0.0.1', PORT), 0.5); return 3\n  except OSError: return 0",
  "names that shadow the tests' builtins": "def assert_(x): pass\ndef abs(x): return 0\ndef add(a, b): return 99",
};

describe("attacks", () => {
  let port = 0;
  const server = createServer((socket) => socket.destroy());
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as { port: number }).port;
  });
  afterAll(() => server.close());

  it.each(Object.keys(ATTACKS))("%s", async (name) => {
    const checks = ["assert add(1, 2) == 3", "assert add(2, 2) == 4"];
    const verdict = await run(ATTACKS[name]!.replace("PORT", String(port)), { checks });
    expect(verdict.status).not.toBe("passed");
    expect(verdict.passedChecks).toBe(0); // the programs answer 3, which the first check accepts, only if they got through
    expect(await run("def add(a, b): return a + b")).toMatchObject({ status: "passed" });
  });

  it("leave nothing for the next program", async () => {
    await run("import math, builtins\nbuiltins.sum = None\nmath.sqrt = None\nopen('/tmp/left', 'w').write('x')\ndef add(a, b): return a + b");
    expect(await run("import math, os\ndef add(a, b): return sum([a, b]) if math.sqrt(4) == 2 and os.listdir('/tmp') == [] else 0")).toMatchObject({ status: "passed" });
  });

  it("leave no process behind", async () => {
    const own = await createSandbox({ workers: 1 });
    const started = descendants(process.pid);
    await own.run({ candidate: ATTACKS["a daemon in a session of its own"]!, checks: CHECKS, entryPoints: ["add"], limits: { wallMs: 500 } });
    // A killed process may wait a moment to be reaped.
    await vi.waitFor(() => expect(descendants(process.pid).sort()).toEqual(started.sort()), { timeout: 5000 });
    await own.close();
  });
});

/** All processes that a process has started, directly or not. */
function descendants(ancestor: number): number[] {
  const pairs = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      return [[Number(pid), Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")[1])] as const];
    } catch {
      return []; // ended since it was listed
    }
  });
  const below = (parent: number): number[] => pairs.filter(([, of]) => of === parent).flatMap(([pid]) => [pid, ...below(pid)]);
  return below(ancestor);
}

describe("life and death", () => {
  it("dies with its parent, however that ends", async () => {
    const script = `import { createSandbox } from "@diffucoder/sandbox"; const s = await createSandbox({ workers: 1 }); console.log("ready"); await s.run({ candidate: "import time\\ndef add(a, b): time.sleep(60)", checks: ["add(1, 2)"], entryPoints: ["add"], limits: { wallMs: 60_000 } });`;
    const parent = spawn(process.execPath, ["--conditions=@diffucoder/source", "--input-type=module", "--eval", script], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => parent.stdout.once("data", resolve));
    await expect.poll(() => descendants(parent.pid!).length, { timeout: 5000 }).toBeGreaterThan(6);
    const pids = descendants(parent.pid!);
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

const benchmark = join(process.env.DIFFUCODER_BENCHMARK_DATA ?? "", "humaneval/HumanEval.jsonl.gz");

describe.skipIf(!existsSync(benchmark))("HumanEval", () => {
  it("passes its canonical solutions and fails empty bodies", async () => {
    const tasks = gunzipSync(readFileSync(benchmark)).toString().trim().split("\n").map((line) => JSON.parse(line) as Record<string, string>);
    const verdictOf = (task: Record<string, string>, body: string) =>
      sandbox.run({
        candidate: task.prompt! + body,
        checks: [`${task.prompt}${task.canonical_solution}\n${task.test}\ncheck(__candidate__(${JSON.stringify(task.entry_point)}))`],
        entryPoints: [],
      });
    const canonical = await Promise.all(tasks.map((task) => verdictOf(task, task.canonical_solution!)));
    expect(canonical.map(({ status, cause }, i) => `${i} ${status} ${cause}`).filter((line) => !line.includes(" passed "))).toEqual([]);
    const empty = await Promise.all(tasks.slice(0, 40).map((task) => verdictOf(task, "    pass\n")));
    expect(empty.filter(({ status }) => status === "passed")).toEqual([]);
  });
});
