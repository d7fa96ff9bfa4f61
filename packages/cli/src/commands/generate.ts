// Axes: T canvas, W window.
import { Command, Option } from "commander";
import { findArtifact, StageError, type Store } from "@diffucoder/lineage";
import { ALGORITHMS, decode, decodeOptionsOf, decodingShape, loadModel, openSampler, refineDecoding, type CacheKind, type DecodeAlgorithm, type DecodingSettings } from "@diffucoder/model";
import { END_OF_TURN, UNKNOWN_TEXT, answerText, extractProgram, renderPrompt } from "@diffucoder/tasks";
import type { Tokenizer } from "@diffucoder/tokenizer";
import { z } from "zod";
import { notNegative, positive, seed } from "../options.ts";
import { outputOption, print, type OutputFormat } from "../output.ts";
import { UsageError, projectStore } from "../project.ts";

interface Options {
  readonly prompt?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly gap: number;
  readonly steps?: number;
  readonly canvas?: number;
  readonly temperature: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly algorithm?: DecodeAlgorithm;
  readonly positionTemperature?: number;
  readonly block?: number;
  readonly cache?: CacheKind;
  readonly threshold?: number;
  readonly factor?: number;
  readonly stop?: true;
  readonly seed: number;
  readonly trace?: boolean;
  readonly output: OutputFormat;
}

export function generateCommand(): Command {
  return new Command("generate")
    .description("answer a prompt, or fill a gap in a text, by diffusion decoding")
    .argument("<checkpoint>", "a name, or the first digits of a digest")
    .option("--prompt <text>", "an instruction to answer")
    .addOption(new Option("--prefix <text>", "text before a gap to fill, as it stands").conflicts(["prompt", "canvas"]))
    .addOption(new Option("--suffix <text>", "text behind the gap").conflicts(["prompt", "canvas"]))
    .option("--gap <tokens>", "tokens of the gap", positive, 32)
    .option("--steps <n>", "denoising steps, at most; one token a step unless given", positive)
    .option("--canvas <tokens>", "tokens of prompt and answer together; as the checkpoint was last trained on unless given", positive)
    .option("--temperature <t>", "0 takes the likeliest tokens", notNegative, 0)
    .option("--top-p <p>", "draw from the likeliest tokens with this much probability", notNegative)
    .option("--top-k <k>", "draw from so many likeliest tokens", positive)
    .addOption(new Option("--algorithm <name>", "which positions are fixed first; entropy, with --threshold or --factor maskgit_plus, unless given").choices(ALGORITHMS))
    .option("--position-temperature <t>", "draw positions rather than take the surest", notNegative)
    .option("--block <tokens>", "decode in blocks, from left to right", positive)
    .addOption(new Option("--cache <kind>", `evaluate the block alone (dual) or with what is behind it (prefix) in most steps; blocks of ${BLOCK} unless given`).choices(["prefix", "dual"]))
    .option("--threshold <p>", "fix all tokens above this confidence at once", notNegative)
    .addOption(new Option("--factor <f>", "fix as many tokens at once as are sure together").argParser(notNegative).conflicts("threshold"))
    .option("--stop", "be done when the answer's end is fixed and all before it")
    .option("--seed <n>", "of the sampling", seed, 1)
    .option("--trace", "print the answer with what each step fixed, and how sure the model was")
    .addOption(outputOption())
    .action(async (checkpoint: string, options: Options) => print(options.output, await generate(checkpoint, options), (answer) => (options.trace === true ? renderTrace(answer) : (answer.program ?? answer.text))));
}

const BLOCK = 32;

interface Answer {
  readonly text: string;
  /** What the answer's one fenced block holds; null when it has another form. */
  readonly program: string | null;
  /** Tokens of the answer, as text, and the step (0-based) that fixed each with what confidence; null for what is behind a stop. */
  readonly tokens: readonly { readonly text: string; readonly step: number | null; readonly confidence: number | null }[];
}

async function generate(name: string, options: Options): Promise<Answer> {
  if (options.prompt === undefined && options.prefix === undefined) throw new UsageError("generate: expected --prompt, or --prefix and perhaps --suffix, found neither");
  const store = await projectStore();
  const ref = await findArtifact(store, name);
  if (ref.kind !== "checkpoint") throw new StageError({ code: "NotACheckpoint", message: `${name}: expected a checkpoint, found a ${ref.kind} artifact`, retryable: false });
  const { model, parameters, tokenizer } = await loadModel((path) => store.artifacts.file(ref, path, { verify: true }));
  const { prompt, suffix, canvasLength } = await layOut(options, tokenizer, async () => (await trainedCanvas(store, ref.digest)) ?? model.maxPositions);
  const windowLength = Math.max(1, canvasLength - prompt.length); // a prompt that leaves no room is the decoder's to refuse
  const settings = settingsOf(options, windowLength - suffix.length);
  const decoding = { ...decodeOptionsOf(settings, { ...model, endId: tokenizer.id(END_OF_TURN) }), temperature: options.temperature, streamOf: () => ({ seed: options.seed, stage: "generate", purpose: "sampling" }) };
  const sampler = await openSampler(model, settings, { batchSize: 1, canvasLength, windowLength, dtype: "fp32" });
  try {
    sampler.setParameters(parameters);
    const [decoded] = decode(sampler, { ...decoding, prompts: [prompt], suffixes: [suffix] });
    const { tokens, promptLength, trace, confidence } = decoded!;
    const end = promptLength + trace.length;
    const text = answerText(tokens.subarray(0, end), promptLength, tokenizer, [model.padId, model.maskId]);
    const fixed = [...tokens.subarray(promptLength, end)].map((id, offset) => {
      const [step, sure] = trace[offset] === -1 ? [null, null] : [trace[offset]!, confidence[offset]!];
      return { text: tokenizer.decode([id], { unknownAs: UNKNOWN_TEXT }), step, confidence: sure };
    });
    return { text, program: extractProgram(text) ?? null, tokens: fixed };
  } finally {
    sampler.dispose();
  }
}

/** What stands before and behind the answer, and how long the canvas is. */
async function layOut(options: Options, tokenizer: Tokenizer, usualCanvas: () => Promise<number>) {
  if (options.prompt !== undefined) {
    const prompt = tokenizer.encode(renderPrompt({ instruction: options.prompt }), { specials: true });
    return { prompt, suffix: new Uint32Array(), canvasLength: options.canvas ?? (await usualCanvas()) };
  }
  const [prompt, suffix] = [options.prefix ?? "", options.suffix ?? ""].map((text) => tokenizer.encode(text)) as [Uint32Array, Uint32Array];
  return { prompt, suffix, canvasLength: prompt.length + options.gap + suffix.length };
}

/** One token a step unless steps are given. @throws UsageError */
function settingsOf({ steps, algorithm, topP, topK, positionTemperature, block, cache, threshold, factor, stop }: Options, answerLength: number): DecodingSettings {
  const isParallel = threshold !== undefined || factor !== undefined;
  const blockLength = block ?? (cache === undefined ? undefined : BLOCK);
  const given = { topP, topK, positionTemperature, blockLength, cache, threshold, factor, stopAtEnd: stop };
  const parsed = settingsSchema.safeParse({ ...given, steps: steps ?? Math.max(1, answerLength), algorithm: algorithm ?? (isParallel ? "maskgit_plus" : "entropy") });
  if (!parsed.success) throw new UsageError(`generate: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

const settingsSchema = z.strictObject(decodingShape).superRefine(refineDecoding);

/** Length of the canvases that the stage which made a checkpoint worked on: on others the model is out of its depth. */
async function trainedCanvas({ records }: Store, digest: string): Promise<number | undefined> {
  const maker = (await records.bindings()).find(({ outputs }) => Object.values(outputs).some((output) => output.digest === digest));
  const { canvasLength } = (maker?.facts.recipe ?? {}) as { canvasLength?: number };
  return canvasLength;
}

/** The answer token by token, each with the step that fixed it and the confidence it had. */
function renderTrace({ tokens }: Answer): string {
  return tokens.map(({ text, step, confidence }) => `${String(step ?? "-").padStart(4)}  ${(confidence?.toFixed(3) ?? "-").padStart(7)}  ${JSON.stringify(text)}`).join("\n");
}
