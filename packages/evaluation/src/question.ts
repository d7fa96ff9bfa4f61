import type { Sandbox } from "@diffucoder/sandbox";
import {
  extractProgram,
  generateTasks,
  judgeProgram,
  missingLibraries,
  programOfAnswer,
  promptStyleOf,
  renderBenchmarkPrompt,
  renderPrompt,
  scoreAnswers,
  type Benchmark,
  type NoVerdict,
  type SuiteVerdict,
} from "@diffucoder/tasks";
import { identityOf, type BenchmarkRecipe, type Recipe } from "./config.ts";

/** What became of an answer. */
export interface AnswerVerdict {
  /** Status of the sandbox's verdict; `malformed` where there was no program to run, `prompt-too-long` where there was no room for one. */
  readonly status: SuiteVerdict["status"] | "malformed" | "prompt-too-long";
  readonly cause: string;
  /** The verdicts behind it, where a task has more than one suite of tests. */
  readonly suites?: Readonly<Record<string, SuiteVerdict>>;
}

/** A task as it is put to a model. */
export interface Question {
  readonly taskId: string;
  readonly prompt: string;
  /** The program in an answer, if there is one. */
  readonly programOf: (completion: string) => string | undefined;
  readonly judge: (completion: string) => Promise<AnswerVerdict | NoVerdict>;
}

/** Questions that are scored together. */
export interface QuestionSet {
  /** `held-out`, or the benchmark. */
  readonly name: string;
  readonly questions: readonly Question[];
  readonly decoding: Recipe["decoding"];
  /** Samples for each question at each temperature; the first is the one greedy answer. */
  readonly samplings: readonly { readonly temperature: number; readonly samples: number }[];
  /** Whether a prompt may leave too little room: an outcome for a benchmark, a wrong recipe for tasks of our own. */
  readonly mayExceedCanvas: boolean;
  /** Tasks that cannot be run here. */
  readonly skipped: readonly { readonly taskId: string; readonly missing: readonly string[] }[];
  readonly benchmark?: Benchmark;
}

export function heldOutQuestions({ tasks, decoding, samples }: Recipe, seed: number, sandbox: Sandbox): QuestionSet {
  const questions = generateTasks({ ...tasks, split: "heldout", seed }).map(
    (task): Question => ({
      taskId: task.id,
      prompt: renderPrompt(task),
      programOf: extractProgram,
      judge: async (completion) => {
        const [score] = await scoreAnswers(sandbox, [{ task, completion }]);
        return score!.status === null ? score! : { status: score!.status, cause: score!.cause };
      },
    }),
  );
  return { name: "held-out", questions, decoding, samplings: samplingsOf(samples), mayExceedCanvas: false, skipped: [] };
}

/** The tasks that models are scored on, in the paper's prompt; those whose libraries are not here are named, not asked. */
export async function benchmarkQuestions(recipe: BenchmarkRecipe, benchmark: Benchmark, sandbox: Sandbox): Promise<QuestionSet> {
  const tasks = benchmark.tasks.filter(({ isHeldOut }) => isHeldOut).slice(0, recipe.tasks);
  const absent = await missingLibraries(sandbox, tasks.flatMap(({ libraries }) => libraries));
  const skipped = tasks.map(({ id, libraries }) => ({ taskId: id, missing: libraries.filter((name) => absent.has(name)) })).filter(({ missing }) => missing.length > 0);
  const questions = tasks
    .filter(({ libraries }) => !libraries.some((name) => absent.has(name)))
    .map((task): Question => {
      const programOf = (completion: string): string => programOfAnswer(task, completion);
      return {
        taskId: task.id,
        prompt: renderBenchmarkPrompt(task, recipe.prompt ?? promptStyleOf(recipe.name)),
        programOf,
        judge: async (completion) => {
          const judgement = await judgeProgram(sandbox, task, programOf(completion));
          if (judgement.status === null || task.suites.length > 1) return judgement;
          return { status: judgement.status, cause: judgement.cause };
        },
      };
    });
  return { name: identityOf(recipe), questions, decoding: recipe.decoding, samplings: samplingsOf(recipe.samples), mayExceedCanvas: true, skipped, benchmark };
}

function samplingsOf({ perTask, temperatures }: Recipe["samples"]): QuestionSet["samplings"] {
  return [{ temperature: 0, samples: 1 }, ...temperatures.map((temperature) => ({ temperature, samples: perTask }))];
}
