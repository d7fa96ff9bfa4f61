import { openSampler, type DecodingSettings, type ModelBlockSampler, type ModelSampler } from "@diffucoder/model";
import { decodeAnswers, type DecodedAnswer, type DecodingOptions } from "./answer.ts";
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
export async function ask({ model, parameters, tokenizer }: EvaluatedCheckpoint, set: QuestionSet, options: AskOptions): Promise<SampleLine[]> {
  const { role, seed, dtype, finished, saveEverySeconds, onPhase, onStep } = options;
  const { canvasLength, batchSize, ...settings } = set.decoding;
  const { fitting, tooLong } = fitToCanvas(set, (text) => tokenizer.encode(text, { specials: true }));
  const originOf = ({ temperature, sample }: Pass): Origin => ({ checkpoint: role, benchmark: set.name, temperature, sample, seed });
  const passes = passesOf(set);
  const lines = passes.flatMap((pass) => tooLong.map((item) => unanswered(originOf(pass), item, canvasLength)));
  let sampler: ModelSampler | ModelBlockSampler | undefined;
  try {
    for (const { pass, start } of batchesOf(passes, fitting.length, batchSize)) {
      const { temperature, sample, samples } = pass;
      const key = JSON.stringify([role, set.name, temperature, sample, start]);
      const known = finished.find(key);
      if (known !== undefined) {
        lines.push(...known);
        continue;
      }
      await onPhase(`${set.name}, ${temperature === 0 ? "greedy" : `T = ${temperature}, sample ${sample + 1} of ${samples}`}: ${start} of ${fitting.length}`);
      if (sampler === undefined) {
        const windowLength = canvasLength - Math.min(...fitting.map(({ prompt }) => prompt.length));
        sampler = await openSampler(model, settings, { batchSize, canvasLength, windowLength, dtype });
        sampler.setParameters(parameters);
      }
      const batch = fitting.slice(start, start + batchSize);
      const streamOf = (index: number) => ({ seed, stage: "evaluation", step: sample, sample: start + index, purpose: `${set.name} ${temperature}` });
      const answers = decodeAnswers(sampler, batch.map(({ prompt }) => prompt), { ...decodingAt(temperature, settings), model, tokenizer, temperature, streamOf, onStep });
      const found = await judged(originOf(pass), batch, answers, onStep);
      lines.push(...found);
      await finished.add(key, found, saveEverySeconds);
    }
  } finally {
    sampler?.dispose();
  }
  return lines;
}

/** The greedy answer takes the likeliest token, so none is cut; it also keeps the first pass, which depends on the prompt alone. */
function decodingAt(temperature: number, { topK, ...settings }: DecodingSettings): Pick<DecodingOptions, "settings" | "keepFirstPass"> {
  if (temperature > 0) return { settings: { ...settings, topK } };
  return { settings: { ...settings, topP: 1 }, keepFirstPass: settings.cache === undefined }; // a block cache would see the first block alone
}

/** One answer to every question at a temperature. */
interface Pass {
  readonly temperature: number;
  readonly sample: number;
  /** Samples of this temperature in all. */
  readonly samples: number;
}

type Origin = Pick<SampleLine, "checkpoint" | "benchmark" | "temperature" | "sample" | "seed">;

function passesOf({ samplings }: QuestionSet): Pass[] {
  return samplings.flatMap(({ temperature, samples }) => Array.from({ length: samples }, (_, sample) => ({ temperature, sample, samples })));
}

function* batchesOf(passes: readonly Pass[], questions: number, batchSize: number): Generator<{ readonly pass: Pass; readonly start: number }> {
  for (const pass of passes) {
    for (let start = 0; start < questions; start += batchSize) yield { pass, start };
  }
}

/** @throws UnscoredAnswers */
async function judged(origin: Origin, batch: readonly EncodedQuestion[], answers: readonly DecodedAnswer[], onStep: () => void): Promise<SampleLine[]> {
  const asked = batch.map((item, i) => ({ ...item, answer: answers[i]! }));
  const verdicts = await judge(asked, async ({ question, answer }) => {
    const verdict = await question.judge(answer.text);
    onStep();
    return verdict;
  });
  return asked.map(({ question, prompt, answer: { text, order, trace, confidences, firstEntropies, liveLength } }, i) => ({
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
    ...(firstEntropies === undefined ? {} : { firstEntropies }),
  }));
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
function unanswered(origin: Origin, { question, prompt }: EncodedQuestion, canvasLength: number): SampleLine {
  const cause = `${prompt.length} tokens on a canvas of ${canvasLength}`;
  const nothing = { completion: "", solution: null, answerTokens: 0, order: [], trace: [], confidences: [] };
  return { ...origin, task_id: question.taskId, status: "prompt-too-long", cause, passed: false, promptTokens: prompt.length, ...nothing };
}
