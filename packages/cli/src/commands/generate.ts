// Axes: T canvas, W window.
import { Command, InvalidArgumentError, Option } from "commander";
import { loadCheckpoint } from "@diffucoder/formats";
import { findArtifact, StageError, type Store } from "@diffucoder/lineage";
import { createSampler, decode, fromHuggingFace, type DecodeAlgorithm } from "@diffucoder/model";
import { answerText, extractProgram, renderPrompt } from "@diffucoder/tasks";
import { Tokenizer } from "@diffucoder/tokenizer";
import { outputOption, print, type OutputFormat } from "../output.ts";
import { projectStore } from "../project.ts";
import { seedOption } from "./run.ts";

interface Options {
  readonly prompt: string;
  readonly steps?: number;
  readonly canvas?: number;
  readonly temperature: number;
  readonly algorithm: DecodeAlgorithm;
  readonly seed: number;
  readonly trace?: boolean;
  readonly output: OutputFormat;
}

export function generateCommand(): Command {
  return new Command("generate")
    .description("answer a prompt by diffusion decoding")
    .argument("<checkpoint>", "a name, or the first digits of a digest")
    .requiredOption("--prompt <text>")
    .option("--steps <n>", "denoising steps; one token a step unless given", positive)
    .option("--canvas <tokens>", "tokens of prompt and answer together; as the checkpoint was last trained on unless given", positive)
    .option("--temperature <t>", "0 takes the likeliest tokens", notNegative, 0)
    .addOption(new Option("--algorithm <name>", "which positions are fixed first").choices(["origin", "maskgit_plus", "topk_margin", "entropy"]).default("entropy"))
    .option("--seed <n>", "of the sampling", seedOption, 1)
    .option("--trace", "print the answer with what each step fixed")
    .addOption(outputOption())
    .action(async (checkpoint: string, options: Options) => print(options.output, await generate(checkpoint, options), (answer) => (options.trace === true ? renderTrace(answer) : (answer.program ?? answer.text))));
}

interface Answer {
  readonly text: string;
  /** What the answer's one fenced block holds; null when it has another form. */
  readonly program: string | null;
  /** Tokens behind the prompt, as text, and the step (0-based) that fixed each. */
  readonly tokens: readonly { readonly text: string; readonly step: number }[];
}

async function generate(name: string, { prompt, steps, canvas, temperature, algorithm, seed }: Options): Promise<Answer> {
  const store = await projectStore();
  const ref = await findArtifact(store, name);
  if (ref.kind !== "checkpoint") throw new StageError({ code: "NotACheckpoint", message: `${name}: expected a checkpoint, found a ${ref.kind} artifact`, retryable: false });
  const { config, parameters, tokenizerJson } = await loadCheckpoint((path) => store.artifacts.file(ref, path));
  const model = fromHuggingFace(config);
  const tokenizer = Tokenizer.fromJson(tokenizerJson);
  const encoded = tokenizer.encode(renderPrompt({ instruction: prompt }), { specials: true });
  const canvasLength = canvas ?? (await trainedCanvas(store, ref.digest)) ?? model.maxPositions;
  const windowLength = Math.max(1, canvasLength - encoded.length); // a prompt that leaves no room is the decoder's to refuse
  const sampler = await createSampler(model, { batchSize: 1, canvasLength, windowLength, dtype: "fp32" });
  try {
    sampler.setParameters(parameters);
    const decoding = { prompts: [encoded], maskId: model.maskId, steps: steps ?? windowLength, algorithm, temperature };
    const [decoded] = decode(sampler, { ...decoding, streamOf: () => ({ seed, stage: "generate", purpose: "sampling" }) });
    const { tokens, promptLength, trace } = decoded!;
    const text = answerText(tokens, promptLength, tokenizer, [model.padId, model.maskId]);
    const fixed = [...tokens.subarray(promptLength)].map((id, offset) => ({ text: tokenizer.decode([id]), step: trace[offset]! }));
    return { text, program: extractProgram(text) ?? null, tokens: fixed };
  } finally {
    sampler.dispose();
  }
}

/** Length of the canvases that the stage which made a checkpoint worked on: on others the model is out of its depth. */
async function trainedCanvas({ records }: Store, digest: string): Promise<number | undefined> {
  const maker = (await records.bindings()).find(({ outputs }) => Object.values(outputs).some((output) => output.digest === digest));
  const { canvasLength } = (maker?.facts.recipe ?? {}) as { canvasLength?: number };
  return canvasLength;
}

/** The answer token by token, each with the step that fixed it. */
function renderTrace({ tokens }: Answer): string {
  return tokens.map(({ text, step }) => `${String(step).padStart(4)}  ${JSON.stringify(text)}`).join("\n");
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("expected a whole number above 0.");
}

function notNegative(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0 && text.trim() !== "") return value;
  throw new InvalidArgumentError("expected a number, 0 or more.");
}
