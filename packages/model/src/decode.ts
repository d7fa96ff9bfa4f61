// Axes: B batch, T canvas, V vocabulary.
import { confidenceBounds, doubtFor, type DoubtName } from "./confidence-doubt.ts";
import { checkOptions, type DecodeOptions } from "./decode-options.ts";
import { ModelError } from "./errors.ts";
import { OpenCanvas, type DecodedCanvas } from "./open-canvas.ts";
import { chooseAtRandom, chooseInParallel, chooseMostConfident, inQuestion, type FixedPosition, type OpenPosition } from "./position-choice.ts";
import { isBlockSampler, readCanvases, type BlockSampler, type Reading, type ReadingRequest, type Sampler } from "./sampler.ts";
import { confidenceOf, drawIndex, entropyOf, filteredProbs, indexOfLargest } from "./token-distribution.ts";
import { noiseTimes, transferShare } from "./transfer-schedule.ts";

/**
 * Fills masked canvases step by step. Fixed tokens are never masked again.
 *
 * @source Dream's `diffusion_generate`, which DiffuCoder uses (arXiv:2506.20639v2, section 3.1); blocks as in LLaDA
 *   (arXiv:2502.09992), their cache and the rules of parallel decoding as in Fast-dLLM (arXiv:2505.22618)
 * @deviation the number of positions fixed in a step follows each canvas' own count of masks, not the batch's mean;
 *   equal confidences go to the lowest position; probabilities are computed in double precision
 * @throws ModelError `PromptTooLong` when a prompt leaves no room within the sampler's window; `WrongOptions`
 */
export function decode(sampler: Sampler | BlockSampler, options: DecodeOptions): DecodedCanvas[] {
  checkOptions(options);
  if (isBlockSampler(sampler) && (options.blockLength ?? sampler.blockLength) !== sampler.blockLength) {
    throw new ModelError("WrongOptions", `blockLength: expected the sampler's ${sampler.blockLength}, found ${options.blockLength}`);
  }
  const canvases: DecodedCanvas[] = [];
  for (let start = 0; start < options.prompts.length; start += sampler.batchSize) {
    const indices = options.prompts.slice(start, start + sampler.batchSize).map((_, i) => start + i);
    canvases.push(...decodeBatch(sampler, options, indices));
  }
  return canvases;
}

function decodeBatch(sampler: Sampler | BlockSampler, options: DecodeOptions, indices: readonly number[]): DecodedCanvas[] {
  const canvases = indices.map((index) => new OpenCanvas(sampler, options, index));
  const longest = Math.max(...canvases.map(({ answerLength }) => answerLength));
  const blockLength = isBlockSampler(sampler) ? sampler.blockLength : (options.blockLength ?? longest);
  for (let start = 0; start < longest; start += blockLength) {
    decodeBlock(sampler, options, canvases.map((canvas, row) => blockOf(canvas, row, { start, blockLength, steps: options.steps })));
  }
  return canvases.map((canvas) => canvas.result());
}

/** A part of one canvas that is decoded before what is behind it. */
interface Block {
  readonly canvas: OpenCanvas;
  /** Row of the batch. */
  readonly row: number;
  /** Positions, half-open. */
  readonly start: number;
  readonly end: number;
  readonly times: Float32Array;
  /** What the model last said of this canvas as it is; undefined once it has changed. */
  reading: Reading | undefined;
}

function blockOf(canvas: OpenCanvas, row: number, at: { readonly start: number; readonly blockLength: number; readonly steps: number }): Block {
  const { promptLength, answerLength } = canvas;
  const start = promptLength + Math.min(at.start, answerLength);
  const end = promptLength + Math.min(at.start + at.blockLength, answerLength);
  const steps = Math.max(1, Math.round((at.steps * (end - start)) / answerLength));
  return { canvas, row, start, end, times: noiseTimes(steps), reading: undefined };
}

/** Denoises one block of each canvas until none has masks left; canvases that are done wait, so that none depends on another. */
function decodeBlock(sampler: Sampler | BlockSampler, options: DecodeOptions, blocks: readonly Block[]): void {
  const read = readerOf(sampler, options, blocks);
  for (let step = 0; ; step++) {
    const active = blocks.filter(({ canvas, start, end }) => canvas.openPositions(start, end).length > 0);
    if (active.length === 0) return;
    // A step that fixes nothing leaves the canvas as it was, and the model would say the same again.
    if (active.some(({ reading }) => reading === undefined)) {
      options.onStep?.();
      const latest = read(step);
      for (const block of active) {
        if (block.canvas.awaitsFirstPass) keepFirstPass(sampler, block, latest);
        block.reading ??= latest;
      }
    }
    for (const block of active) denoise(sampler, options, block, step);
  }
}

/**
 * Evaluates the model on the canvases as they are now; with a block cache, first everything and then the blocks alone. It is asked of
 * blocks it has not said anything of, with what the first step from `step` on needs to know that fixes some of their positions.
 */
function readerOf(sampler: Sampler | BlockSampler, options: DecodeOptions, blocks: readonly Block[]): (step: number) => Reading {
  const { canvasLength, vocabSize } = sampler;
  const name = doubtFor(options.algorithm, options);
  const temperature = options.temperature === 0 ? 1 : options.temperature;
  const tokens = new Int32Array(sampler.batchSize * canvasLength);
  let isOpened = false;
  return (step) => {
    for (const { canvas, row } of blocks) tokens.set(canvas.tokens, row * canvasLength);
    const asked = blocks.filter(({ reading }) => reading === undefined).map((block) => ({ block, open: positionsToRead(sampler, block) }));
    const positions = Int32Array.from(asked.flatMap(({ block, open }) => open.map((position) => block.row * canvasLength + position)));
    const request: ReadingRequest = name === undefined ? { temperature } : { temperature, doubt: { name, inQuestion: (doubts) => questionsOf(asked, options, { name, doubts, vocabSize, step }) } };
    if (!isBlockSampler(sampler)) return readCanvases(sampler, tokens, positions, request);
    if (isOpened) return sampler.readBlocks(tokens, positions, request);
    isOpened = true;
    return sampler.openBlocks(tokens, blocks, positions, request);
  };
}

/** Which of the positions that are read the next choice in each block may fall on, as indices into the list of all. */
function questionsOf(
  asked: readonly { readonly block: Block; readonly open: readonly number[] }[],
  options: DecodeOptions,
  { name, doubts, vocabSize, step }: { readonly name: DoubtName; readonly doubts: Float32Array; readonly vocabSize: number; readonly step: number },
): number[] {
  let first = 0;
  return asked.flatMap(({ block, open }) => {
    const start = first;
    first += open.length;
    if (block.canvas.awaitsFirstPass || (options.positionTemperature ?? 0) > 0) return open.map((_, index) => start + index);
    const bounds = Array.from(doubts.subarray(start, first), (doubt) => confidenceBounds(name, doubt, vocabSize));
    return inQuestion(bounds, nextChoice(options, block, open.length, step)).map((index) => start + index);
  });
}

/** How the first step chooses that fixes some of the open positions. */
function nextChoice({ commit = { rule: "schedule" } }: DecodeOptions, { times }: Block, open: number, step: number): Parameters<typeof inQuestion>[1] {
  for (let next = step; ; next++) {
    const share = transferShare(times, next);
    if (commit.rule !== "schedule" && share < 1) return commit;
    const count = Math.floor(open * share);
    if (count > 0 || open === 0) return { count };
  }
}

/** The block's open positions; the whole answer's at a first pass that is to be kept, unless a block cache reads the block alone. */
function positionsToRead(sampler: Sampler | BlockSampler, { canvas, start, end }: Block): number[] {
  const { promptLength, answerLength, awaitsFirstPass } = canvas;
  return awaitsFirstPass && !isBlockSampler(sampler) ? canvas.openPositions(promptLength, promptLength + answerLength) : canvas.openPositions(start, end);
}

function keepFirstPass(sampler: Sampler | BlockSampler, block: Block, reading: Reading): void {
  block.canvas.keepFirstPass(positionsToRead(sampler, block), (position) => entropyOf(filteredProbs(reading.get(block.row * sampler.canvasLength + position)!, { temperature: 1 })));
}

function denoise(sampler: Sampler | BlockSampler, options: DecodeOptions, block: Block, step: number): void {
  const { canvas, row, start, end, times } = block;
  const positions = canvas.openPositions(start, end);
  const room = new Float64Array(sampler.vocabSize);
  const open = positions.flatMap((position): OpenPosition[] => {
    const uniform = options.temperature === 0 ? 0 : canvas.draws.uniform();
    const logits = block.reading!.get(row * sampler.canvasLength + position);
    return logits === undefined ? [] : [{ position, draw: () => drawToken(logits, options, { uniform, room }) }];
  });
  const fixed = choose(open, options, block, { share: transferShare(times, step), count: positions.length });
  canvas.fix(fixed);
  if (fixed.length > 0) block.reading = undefined;
}

/** @param of how many positions are open, of which those in question are given, and the share that the schedule fixes */
function choose(open: readonly OpenPosition[], options: DecodeOptions, { canvas }: Block, of: { readonly share: number; readonly count: number }): FixedPosition[] {
  const { algorithm, commit = { rule: "schedule" }, positionTemperature = 0 } = options;
  if (algorithm === "origin") return chooseAtRandom(open, of.share, canvas.draws);
  if (commit.rule !== "schedule" && of.share < 1) return chooseInParallel(open, commit);
  return chooseMostConfident(open, Math.floor(of.count * of.share), positionTemperature, canvas.draws);
}

/** Draws one token and says how sure the model is of it. */
function drawToken(logits: Float32Array, options: DecodeOptions, { uniform, room }: { readonly uniform: number; readonly room: Float64Array<ArrayBuffer> }) {
  const probs = filteredProbs(logits, options, room);
  const token = options.temperature === 0 ? indexOfLargest(probs) : drawIndex(probs, uniform);
  return { token, confidence: confidenceOf(options.algorithm, probs, token) };
}
