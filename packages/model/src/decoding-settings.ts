import { z } from "zod";
import { createBlockSampler, type ModelBlockSampler } from "./block-sampler.ts";
import type { ModelConfig } from "./config.ts";
import { wrongOption, type DecodeOptions } from "./decode-options.ts";
import { createSampler, type ModelSampler, type SamplerShape } from "./sampler.ts";
import { ALGORITHMS } from "./token-distribution.ts";

/** How answers are decoded, as recipes and commands say it; see `DecodeOptions`. What is optional is off unless given. */
export const decodingShape = {
  steps: z.int().positive().default(24).describe("denoising steps of one decode; with blocks, each has its share"),
  algorithm: z.enum(ALGORITHMS).default("entropy"),
  topP: z.number().gt(0).max(1).default(1),
  topK: z.int().positive().optional(),
  positionTemperature: z.number().nonnegative().optional().describe("above 0 positions are drawn, too"),
  blockLength: z.int().positive().optional().describe("positions of a block; blocks are decoded from left to right"),
  cache: z.enum(["prefix", "dual"]).optional().describe("most steps evaluate the block alone (dual) or with what is behind it (prefix)"),
  threshold: z.number().min(0).max(1).optional().describe("parallel decoding: all tokens above this confidence are fixed at once"),
  factor: z.number().positive().optional().describe("parallel decoding: as many tokens at once as are sure together"),
  stopAtEnd: z.boolean().optional().describe("an answer is done when its end and all before it are fixed"),
};

export type DecodingSettings = z.infer<z.ZodObject<typeof decodingShape>>;

/** Rules between settings, for `superRefine`: those of `decode`, found before anything is decoded. */
export function refineDecoding(settings: DecodingSettings, context: z.RefinementCtx): void {
  if (context.issues.length > 0) return;
  const { threshold, factor, cache, blockLength } = settings;
  const refuse = (key: keyof DecodingSettings, message: string) => context.addIssue({ code: "custom", path: [key], message });
  if (threshold !== undefined && factor !== undefined) refuse("factor", "expected threshold or factor, found both");
  if (cache !== undefined && blockLength === undefined) refuse("blockLength", `expected a number with cache ${cache}, found none`);
  const wrong = wrongOption({ ...decodeOptionsOf(settings, NO_TOKENS), temperature: 1, prompts: [] });
  if (wrong !== undefined) refuse(wrong.option as keyof DecodingSettings, wrong.problem);
}

const NO_TOKENS = { maskId: 0, padId: 0, endId: 0 };

/** Settings as `decode` takes them. A block cache has its block length in the sampler, see `openSampler`. */
export function decodeOptionsOf(settings: DecodingSettings, { maskId, padId, endId }: { readonly maskId: number; readonly padId: number; readonly endId: number }): Omit<DecodeOptions, "prompts" | "temperature" | "streamOf"> {
  const { steps, algorithm, topP, topK, positionTemperature, blockLength, cache, threshold, factor, stopAtEnd = false } = settings;
  return {
    maskId,
    steps,
    algorithm,
    topP,
    ...(topK === undefined ? {} : { topK }),
    ...(positionTemperature === undefined ? {} : { positionTemperature }),
    ...(blockLength === undefined || cache !== undefined ? {} : { blockLength }),
    ...(threshold === undefined ? {} : { commit: { rule: "threshold", threshold } }),
    ...(factor === undefined ? {} : { commit: { rule: "factor", factor } }),
    ...(stopAtEnd ? { stop: { endId, fillId: padId } } : {}),
  };
}

/** The sampler that settings ask for: whole canvases, or with a block cache; blocks are at most as long as the window. */
export function openSampler(config: ModelConfig, { cache, blockLength }: Pick<DecodingSettings, "cache" | "blockLength">, shape: SamplerShape): Promise<ModelSampler | ModelBlockSampler> {
  if (cache === undefined || blockLength === undefined) return createSampler(config, shape);
  return createBlockSampler(config, { ...shape, cache, blockLength: Math.min(blockLength, shape.windowLength) });
}
