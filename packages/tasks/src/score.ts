import { SandboxFault, type Sandbox, type Verdict } from "@diffucoder/sandbox";
import type { CodeTask } from "./code-task.ts";
import { extractProgram } from "./prompt.ts";

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

/**
 * Runs every answer against its task's checks, in parallel as far as the sandbox goes.
 *
 * @returns in the order given; null where the sandbox itself failed, which says nothing about the answer
 * @throws SandboxUnavailable
 */
export function scoreAnswers(sandbox: Sandbox, answers: readonly Answer[]): Promise<(Score | null)[]> {
  return Promise.all(answers.map((answer) => scoreAnswer(sandbox, answer)));
}

async function scoreAnswer(sandbox: Sandbox, { task, completion }: Answer): Promise<Score | null> {
  const program = extractProgram(completion);
  if (program === undefined) return { passed: false, passRate: 0, format: 0, status: "malformed", cause: "no single fenced block" };
  return scoreProgram(sandbox, task, program);
}

/**
 * Scores a bare program, such as a benchmark's completed function.
 *
 * @throws RangeError when the task has no checks, as any program would pass them
 */
export async function scoreProgram(sandbox: Sandbox, task: Answer["task"], program: string): Promise<Score | null> {
  if (task.checks.length === 0) throw new RangeError("checks: expected at least one, found none");
  try {
    const verdict = await sandbox.run({ candidate: program, checks: task.checks, entryPoints: [task.entryPoint] });
    return {
      passed: verdict.status === "passed",
      passRate: verdict.passedChecks / verdict.totalChecks,
      format: verdict.status === "syntax" ? 0.5 : 1,
      status: verdict.status,
      cause: verdict.cause,
    };
  } catch (error) {
    if (error instanceof SandboxFault) return null;
    throw error;
  }
}
