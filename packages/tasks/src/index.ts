export type { CodeTask } from "./code-task.ts";
export { TasksError } from "./errors.ts";
export { TASK_FAMILIES, generateTasks, type TaskFamily, type TaskSplit } from "./generated-tasks.ts";
export { extractCompletedProgram, readHumanEval, renderCompletionPrompt, type CompletionTask } from "./humaneval.ts";
export { passAtK } from "./pass-at-k.ts";
export { END_OF_TURN, answerText, extractProgram, renderCompletion, renderPrompt } from "./prompt.ts";
export { scoreAnswers, scoreProgram, type Answer, type Score } from "./score.ts";
