import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { createSandbox, type Sandbox } from "@diffucoder/sandbox";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { generateTasks, TASK_FAMILIES } from "./generated-tasks.ts";
import { END_OF_TURN, renderCompletion } from "./prompt.ts";
import { scoreAnswers, scoreProgram } from "./score.ts";

let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await createSandbox({ workers: 2, limits: { wallMs: 1500, cpuSeconds: 1 } });
});

afterAll(() => sandbox.close());

const TASK = { entryPoint: "f", checks: ["assert f(1) == 2", "assert f(2) == 3", "assert f(-1) == 0", "assert f(0) == 1"] };
const answer = (program: string) => ({ task: TASK, completion: `\`\`\`python\n${program}\n\`\`\`\n` });

test("the solutions of generated tasks pass", async () => {
  const tasks = generateTasks({ families: TASK_FAMILIES, split: "heldout", count: 18, seed: 4 });
  const answers = tasks.map((task) => ({ task, completion: renderCompletion(task).replace(END_OF_TURN, "") }));
  expect(await scoreAnswers(sandbox, answers)).toEqual(tasks.map(() => ({ passed: true, passRate: 1, format: 1, status: "passed", cause: "all checks passed" })));
});

test.each([
  ["right", "def f(x): return x + 1", { passed: true, passRate: 1, format: 1, status: "passed" }],
  ["wrong in one of four checks", "def f(x): return abs(x) + 1", { passed: false, passRate: 0.75, format: 1, status: "failed", cause: "assertion" }],
  ["wrong throughout", "def f(x): return None", { passed: false, passRate: 0, format: 1, status: "failed" }],
  ["of another name", "def g(x): return x + 1", { passed: false, passRate: 0, format: 1, status: "error", cause: "NameError: name 'f' is not defined" }],
  ["no Python", "def f(x) return x", { passed: false, passRate: 0, format: 0.5, status: "syntax", cause: expect.stringContaining("expected ':'") as string }],
  ["endless", "def f(x):\n  while True: pass", { passed: false, passRate: 0, format: 1, status: "timeout" }],
])("a program that is %s", async (_, program, score) => {
  expect(await scoreAnswers(sandbox, [answer(program)])).toEqual([expect.objectContaining(score)]);
});

test("an answer without one fenced block is malformed, and nothing is run", async () => {
  const malformed = { passed: false, passRate: 0, format: 0, status: "malformed", cause: "no single fenced block" };
  expect(await scoreAnswers(sandbox, [{ task: TASK, completion: "def f(x): return x + 1\n" }, { task: { ...TASK, checks: [] }, completion: "" }])).toEqual([malformed, malformed]);
});

test("scores come in the order of the answers, however long each takes", async () => {
  const slow = answer("import time\ntime.sleep(0.3)\ndef f(x): return x + 1");
  const scores = await scoreAnswers(sandbox, [slow, answer("def f(x): return 9"), slow, { task: TASK, completion: "no" }]);
  expect(scores.map((score) => score?.status)).toEqual(["passed", "failed", "passed", "malformed"]);
  expect(await scoreAnswers(sandbox, [])).toEqual([]);
});

test("a task without checks is refused, as anything would pass it", async () => {
  await expect(scoreProgram(sandbox, { entryPoint: "f", checks: [] }, "x = 1")).rejects.toThrow(new RangeError("checks: expected at least one, found none"));
});

/** Ids of the bubblewraps that this process has started. */
function bubblewraps(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [, name, rest] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))!;
        return name === "bwrap" && rest!.split(" ")[1] === String(process.pid);
      } catch {
        return false; // ended since it was listed
      }
    })
    .map(Number);
}

const SLEEPER = "import time\ndef f(x): time.sleep(20)";

/** Starts a sandbox of one worker and returns it with the means to break that. */
async function breakable(): Promise<{ sandbox: Sandbox; kill: () => boolean }> {
  const before = bubblewraps();
  const sandbox = await createSandbox({ workers: 1, limits: { wallMs: 30_000 } });
  onTestFinished(() => sandbox.close());
  const [pid] = bubblewraps().filter((each) => !before.includes(each));
  return { sandbox, kill: () => process.kill(pid!, "SIGKILL") };
}

test("where the sandbox itself dies there is no score but its cause, and the next answer is scored", async () => {
  const { sandbox, kill } = await breakable();
  const scores = scoreAnswers(sandbox, [answer(SLEEPER), answer("def f(x): return x + 1")]);
  setTimeout(kill, 300);
  expect(await scores).toEqual([{ status: null, faultOf: "sandbox", cause: expect.stringMatching(/^the sandbox failed: no answer/) as string }, expect.objectContaining({ passed: true })]);
});

test("a sandbox that cannot be started again is an error, not a score", async () => {
  const directory = await mkdtemp(join(tmpdir(), "bwrap-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await chmod(directory, 0o755); // the sandbox's user has to get in
  const bubblewrap = execFileSync("which", ["bwrap"], { encoding: "utf8" }).trim();
  await writeFile(join(directory, "bwrap"), `#!/bin/sh\nexec ${bubblewrap} "$@"\n`, { mode: 0o755 });
  vi.stubEnv("PATH", `${directory}${delimiter}${process.env.PATH}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { sandbox, kill } = await breakable();
  await rm(join(directory, "bwrap"));
  const scores = scoreAnswers(sandbox, [answer(SLEEPER), answer("def f(x): return x + 1")]);
  setTimeout(kill, 300);
  await expect(scores).rejects.toMatchObject({ code: "SandboxUnavailable" });
});
