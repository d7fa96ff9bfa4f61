import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ChecksInvalid, SandboxFault, type Sandbox, type SandboxJob, type Verdict } from "@diffucoder/sandbox";
import type { BenchmarkTask, TestSuite } from "./benchmark-task.ts";
import type { CodeTask } from "./code-task.ts";
import { evalPlusAssets } from "./evalplus.ts";
import { extractProgram } from "./prompt.ts";
import { pythonString } from "./python-string.ts";

export interface Answer {
  readonly task: Pick<CodeTask, "entryPoint" | "checks">;
  /** Decoded text up to the end marker, special tokens left out. */
  readonly completion: string;
}

export interface Score {
  readonly passed: boolean;
  /** Share of checks passed, in [0, 1]. */
  readonly passRate: number;
  /** 1 one fenced block that parses, 0.5 one that does not, 0 any other form. */
  readonly format: number;
  /** Status of the verdict, or `malformed` when there was no program to run. */
  readonly status: Verdict["status"] | "malformed";
  readonly cause: string;
}

/** Nothing can be said of a program, and why. Never a score. */
export interface NoVerdict {
  readonly status: null;
  /** A fault of the sandbox may not come again; one of the task's, its checks or its libraries, will. */
  readonly faultOf: "sandbox" | "task";
  readonly cause: string;
}

/**
 * Runs every answer against its task's checks, in parallel as far as the sandbox goes.
 *
 * @returns in the order given
 * @throws SandboxUnavailable
 */
export function scoreAnswers(sandbox: Sandbox, answers: readonly Answer[]): Promise<(Score | NoVerdict)[]> {
  return Promise.all(answers.map((answer) => scoreAnswer(sandbox, answer)));
}

async function scoreAnswer(sandbox: Sandbox, { task, completion }: Answer): Promise<Score | NoVerdict> {
  const program = extractProgram(completion);
  if (program === undefined) return { passed: false, passRate: 0, format: 0, status: "malformed", cause: "no single fenced block" };
  return scoreProgram(sandbox, task, program);
}

/**
 * Scores a bare program against checks.
 *
 * @throws RangeError when the task has no checks, as any program would pass them
 */
export async function scoreProgram(sandbox: Sandbox, task: Answer["task"], program: string): Promise<Score | NoVerdict> {
  if (task.checks.length === 0) throw new RangeError("checks: expected at least one, found none");
  const verdict = await run(sandbox, { candidate: program, checks: task.checks, entryPoints: [task.entryPoint] });
  if (verdict.status === null) return verdict;
  return {
    passed: verdict.status === "passed",
    passRate: verdict.passedChecks / verdict.totalChecks,
    format: verdict.status === "syntax" ? 0.5 : 1,
    status: verdict.status,
    cause: verdict.cause,
  };
}

/** What became of a program under one suite of tests. */
export interface SuiteVerdict {
  readonly status: Verdict["status"];
  readonly cause: string;
}

/** What became of a program under all suites of a benchmark's task: the first that did not pass names the verdict. */
export interface Judgement extends SuiteVerdict {
  readonly suites: Readonly<Record<string, SuiteVerdict>>;
}

/**
 * Runs a program against every suite of a benchmark's task.
 *
 * @throws SandboxUnavailable
 */
export async function judgeProgram(sandbox: Sandbox, task: BenchmarkTask, program: string): Promise<Judgement | NoVerdict> {
  const suites: Record<string, SuiteVerdict> = {};
  for (const suite of task.suites) {
    const verdict = unrunnable(program) ?? (await runSuite(sandbox, suite, task.programPrefix + program));
    if (verdict.status === null) return verdict;
    suites[suite.name] = verdict;
  }
  const first = Object.values(suites).find(({ status }) => status !== "passed") ?? { status: "passed", cause: "all checks passed" };
  return { ...first, suites };
}

/** Texts that Python cannot take for a program, or that no sandbox should be handed. */
function unrunnable(program: string): SuiteVerdict | undefined {
  if (!program.isWellFormed()) return { status: "syntax", cause: "not UTF-8: half of a surrogate pair" };
  if (program.includes("\0")) return { status: "syntax", cause: "a null character in the source" };
  if (program.length > LONGEST_PROGRAM) return { status: "error", cause: `a program of ${program.length} characters, where at most ${LONGEST_PROGRAM} are run` };
  return undefined;
}

const LONGEST_PROGRAM = 4 << 20;

async function runSuite(sandbox: Sandbox, suite: TestSuite, program: string): Promise<SuiteVerdict | NoVerdict> {
  const verdict = suite.isolation === "referee" ? await run(sandbox, { candidate: program, checks: suite.checks, entryPoints: suite.entryPoints, limits: suite.limits }) : await runInProcess(sandbox, suite, program);
  if (verdict.status === null) return verdict;
  const { status, cause } = verdict;
  if (status === "failed" && cause.startsWith("CallTimeout: ")) return { status: "timeout", cause: cause.slice("CallTimeout: ".length) };
  if (status === "error" && /^(Syntax|Indentation|Tab)Error: /.test(cause) && suite.isolation === "in-process") return { status: "syntax", cause };
  return { status, cause };
}

const [RUNNER, ALTERED_TESTS, REFEREE] = ["in_process_runner.py", "altered_tests.py", "in_process_referee.py"].map((name) => join(import.meta.dirname, name)) as [string, string, string];

/** Files beside the sources that verdicts depend on, for a stage's `assets`. */
export const taskAssets: readonly string[] = [RUNNER, ALTERED_TESTS, REFEREE, ...evalPlusAssets];

/** Under the tests as they are and, if it passes, under those with one half of them altered and the other; the first that it does not pass decides. */
async function runInProcess(sandbox: Sandbox, suite: InProcessSuite, program: string): Promise<Verdict | NoVerdict> {
  const seed = pythonString(randomUUID());
  for (const half of ["None", "0"]) {
    const verdict = await run(sandbox, inProcessJob(suite, program, `${half}, ${seed}`));
    if (verdict.status !== "passed") return verdict;
  }
  return run(sandbox, inProcessJob(suite, program, `1, ${seed}`));
}

type InProcessSuite = TestSuite & { readonly isolation: "in-process" };

function inProcessJob({ test, entryPoint, limits }: InProcessSuite, program: string, alteration: string): SandboxJob {
  const referee = [ALTERED_TESTS, REFEREE].map((path) => readFileSync(path, "utf8")).join("\n");
  return {
    candidate: `${readFileSync(RUNNER, "utf8")}\nload(${pythonString(program)}, ${pythonString(entryPoint)})\n`,
    checks: [`${referee}\njudge(${pythonString(test)}, __candidate__, ${alteration})\n`],
    entryPoints: [],
    limits,
  };
}

/**
 * Which modules programs cannot import in the sandbox.
 *
 * @throws SandboxUnavailable, SandboxFault
 */
export async function missingLibraries(sandbox: Sandbox, libraries: Iterable<string>): Promise<Set<string>> {
  const probe = { candidate: "import importlib.util\ndef has(name): return importlib.util.find_spec(name) is not None", entryPoints: ["has"] };
  const names = [...new Set(libraries)];
  const verdicts = await Promise.all(names.map((name) => sandbox.run({ ...probe, checks: [`assert has(${pythonString(name)})`] })));
  return new Set(names.filter((_, i) => verdicts[i]!.status !== "passed"));
}

/** A fault of the sandbox or of the checks says nothing about the program. */
async function run(sandbox: Sandbox, job: SandboxJob): Promise<Verdict | NoVerdict> {
  try {
    return await sandbox.run(job);
  } catch (error) {
    if (error instanceof SandboxFault) return { status: null, faultOf: "sandbox", cause: `the sandbox failed: ${String(error.details.what)}` };
    if (error instanceof ChecksInvalid) return { status: null, faultOf: "task", cause: `the task's checks judge no program: ${String(error.details.problem)}` };
    throw error;
  }
}
