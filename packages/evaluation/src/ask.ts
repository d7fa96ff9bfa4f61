import { createSampler, type ModelSampler } from "@diffucoder/model";
import { Tokenizer } from "@diffucoder/tokenizer";
import { decodeAnswers } from "./answer.ts";
import type { EvaluatedCheckpoint } from "./checkpoint-history.ts";
import { PromptTooLong } from "./errors.ts";
import type { FinishedSamples } from "./finished-samples.ts";
import { judge } from "./judge.ts";
import type { Question, QuestionSet } from "./question.ts";
import type { SampleLine } from "./sample-line.ts";

export interface AskOptions {
  readonly role: SampleLine["checkpoint"];
  readonly seed: number;
  readonly dtype: "fp32" | "bf16";
  readonly finished: FinishedSamples;
  readonly saveEverySeconds: number;
  /** Says what comes next; throws when the work is to stop. */
  readonly onPhase: (note: string) => Promise<void>;
  /** A sign of life: something small is done. */
  readonly onStep: () => void;
}

interface EncodedQuestion {
  readonly question: Question;
  readonly prompt: Uint32Array;
}

/** Puts every question of a set to a checkpoint, at every temperature, and runs the answers; batches that are finished are taken over. */
export async function ask({ model, checkpoint }: EvaluatedCheckpoint, set: QuestionSet, options: AskOptions): Promise<SampleLine[]> {
  const { role, seed, dtype, finished, saveEverySeconds, onPhase, onStep } = options;
  const tokenizer = Tokenizer.fromJson(checkpoint.tokenizerJson);
  const { canvasLength, batchSize, topP, ...decoding } = set.decoding;
  const { fitting, tooLong } = fitToCanvas(set, (text) => tokenizer.encode(text, { specials: true }));
  const lines: SampleLine[] = [];
  let sampler: ModelSampler | undefined;
  const openSampler = async (): Promise<ModelSampler> => {
    const windowLength = canvasLength - Math.min(...fitting.map(({ prompt }) => prompt.length));
    const opened = await createSampler(model, { batchSize, canvasLength, windowLength, dtype });
    opened.setParameters(checkpoint.parameters);
    return opened;
  };
  try {
    for (const { temperature, samples } of set.samplings) {
      for (let sample = 0; sample < samples; sample++) {
        const origin = { checkpoint: role, benchmark: set.name, temperature, sample, seed };
        lines.push(...tooLong.map(({ question, prompt }): SampleLine => unanswered(origin, question.taskId, prompt.length, canvasLength)));
        for (let start = 0; start < fitting.length; start += batchSize) {
          const key = JSON.stringify([role, set.name, temperature, sample, start]);
          const known = finished.find(key);
          if (known !== undefined) {
            lines.push(...known);
            continue;
          }
          await onPhase(`${set.name}, ${temperature === 0 ? "greedy" : `T = ${temperature}, sample ${sample + 1} of ${samples}`}: ${start} of ${fitting.length}`);
          const batch = fitting.slice(start, start + batchSize);
          sampler ??= await openSampler();
          const streamOf = (index: number) => ({ seed, stage: "evaluation", step: sample, sample: start + index, purpose: `${set.name} ${temperature}` });
          const answers = decodeAnswers(sampler, batch.map(({ prompt }) => prompt), { ...decoding, ...(temperature === 0 ? {} : { topP }), model, tokenizer, temperature, streamOf, onStep });
          const asked = batch.map(({ question, prompt }, i) => ({ question, prompt, answer: answers[i]! }));
          const verdicts = await judge(asked, async ({ question, answer }) => {
            const verdict = await question.judge(answer.text);
            onStep();
            return verdict;
          });
          const found = asked.map(({ question, prompt, answer: { text, order, trace, confidences, liveLength } }, i): SampleLine => ({
            ...origin,
            task_id: question.taskId,
            ...verdicts[i]!,
            passed: verdicts[i]!.status === "passed",
            completion: text,
            solution: question.programOf(text) ?? null,
            promptTokens: prompt.length,
            answerTokens: liveLength,
            order,
            trace,
            confidences,
          }));
          lines.push(...found);
          await finished.add(key, found, saveEverySeconds);
        }
      }
    }
  } finally {
    sampler?.dispose();
  }
  return lines;
}

/** @throws PromptTooLong for tasks whose prompts have to fit */
function fitToCanvas({ questions, decoding: { canvasLength }, mayExceedCanvas }: QuestionSet, encode: (text: string) => Uint32Array): { fitting: EncodedQuestion[]; tooLong: EncodedQuestion[] } {
  const encoded = questions.map((question) => ({ question, prompt: encode(question.prompt) }));
  const leastRoom = mayExceedCanvas ? LEAST_ROOM : 1;
  const tooLong = encoded.filter(({ prompt }) => prompt.length + leastRoom > canvasLength);
  if (tooLong.length > 0 && !mayExceedCanvas) throw new PromptTooLong(tooLong[0]!.question.taskId, tooLong[0]!.prompt.length, canvasLength);
  return { fitting: encoded.filter((item) => !tooLong.includes(item)), tooLong };
}

/** Tokens that an answer to a benchmark needs at the very least. */
const LEAST_ROOM = 32;

/** A prompt that leaves no room is an outcome of its own, and the task is not solved. */
function unanswered(origin: Pick<SampleLine, "checkpoint" | "benchmark" | "temperature" | "sample" | "seed">, taskId: string, promptTokens: number, canvasLength: number): SampleLine {
  const cause = `${promptTokens} tokens on a canvas of ${canvasLength}`;
  return { ...origin, task_id: taskId, status: "prompt-too-long", cause, passed: false, completion: "", solution: null, promptTokens, answerTokens: 0, order: [], trace: [], confidences: [] };
}
