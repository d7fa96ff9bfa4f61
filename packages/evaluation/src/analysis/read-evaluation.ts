import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { describeSystemError } from "@diffucoder/lineage";
import { decodingShape } from "@diffucoder/model";
import { z } from "zod";
import { EvaluationCorrupt } from "../errors.ts";

/** What a recipe may leave out, a report says. */
const decodingSchema = z.object({ ...decodingShape, canvasLength: z.number(), steps: z.number(), algorithm: z.string(), topP: z.number() });

const reportSchema = z.object({
  seed: z.number(),
  benchmarks: z.array(z.object({ name: z.string(), decoding: decodingSchema })),
  checkpoints: z.array(z.object({ role: z.enum(["baseline", "candidate"]), stage: z.string(), step: z.number(), digest: z.string() })).min(1),
});

const positions = z.array(z.int().nonnegative());

const sampleSchema = z
  .object({
    checkpoint: z.enum(["baseline", "candidate"]),
    benchmark: z.string(),
    task_id: z.string(),
    temperature: z.number().nonnegative(),
    sample: z.int().nonnegative(),
    seed: z.number(),
    passed: z.boolean(),
    answerTokens: z.int().nonnegative(),
    order: positions,
    trace: positions,
    confidences: z.array(z.number()),
    firstEntropies: z.array(z.number().nonnegative()).optional(),
  })
  .refine(({ order }) => new Set(order).size === order.length && order.every((position) => position < order.length), { message: "expected an order that fixes each position once" })
  .refine(({ order, trace, confidences }) => trace.length === order.length && confidences.length === order.length, { message: "expected a step and a confidence for each position" })
  .refine(({ trace, firstEntropies }) => firstEntropies === undefined || firstEntropies.length >= trace.length, { message: "expected an entropy at the first pass for each position" });

/** An answer as far as its analysis goes, see `SampleLine`. */
export type AnalysedSample = z.infer<typeof sampleSchema>;
export type AnalysedDecoding = z.infer<typeof decodingSchema>;

/** Where an evaluation's artifact lies. */
export interface EvaluationSource {
  /** As the reader knows it: its name, digest or folder. */
  readonly name: string;
  readonly reportPath: string;
  readonly samplesPath: string;
}

/** What an evaluation has kept. */
export interface Evaluation extends z.infer<typeof reportSchema> {
  readonly name: string;
  readonly samples: readonly AnalysedSample[];
}

/** @throws EvaluationCorrupt naming file and line */
export async function readEvaluation({ name, reportPath, samplesPath }: EvaluationSource): Promise<Evaluation> {
  const report = parse(reportSchema, await textOf(reportPath), reportPath);
  const samples: AnalysedSample[] = [];
  let line = 0;
  try {
    for await (const text of createInterface({ input: createReadStream(samplesPath) })) {
      line += 1;
      if (text.trim() !== "") samples.push(parse(sampleSchema, text, `${samplesPath}:${line}`));
    }
  } catch (error) {
    throw readable(samplesPath, error);
  }
  if (samples.length === 0) throw new EvaluationCorrupt(samplesPath, "answers", "none");
  const stepsOf = new Map(report.benchmarks.map(({ name: benchmark, decoding }) => [benchmark, mostSteps(decoding)]));
  for (const { benchmark, trace } of samples) {
    const steps = stepsOf.get(benchmark);
    if (steps === undefined) throw new EvaluationCorrupt(samplesPath, `answers to ${[...stepsOf.keys()].join(", ")}, as the report says`, `one to ${benchmark}`);
    if (trace.some((step) => step >= steps)) throw new EvaluationCorrupt(samplesPath, `answers to ${benchmark} in ${steps} steps, as the report says`, "one in more");
  }
  return { name, ...report, samples };
}

/** Each block has its share of the steps, rounded, and at least one. */
function mostSteps({ steps, canvasLength, blockLength }: AnalysedDecoding): number {
  return blockLength === undefined ? steps : steps + Math.ceil(canvasLength / blockLength);
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw readable(path, error);
  }
}

function readable(path: string, error: unknown): unknown {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined ? error : new EvaluationCorrupt(path, "a readable file", describeSystemError(error));
}

function parse<T>(schema: z.ZodType<T>, text: string, where: string): T {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new EvaluationCorrupt(where, "JSON", String(error));
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new EvaluationCorrupt(where, "what an evaluation writes", z.prettifyError(parsed.error));
  return parsed.data;
}
