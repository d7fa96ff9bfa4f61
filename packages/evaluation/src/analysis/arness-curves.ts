import { chanceArness, localHits, openRanks } from "@diffucoder/model";
import { binIndex, binsOf, type Bin } from "./bins.ts";
import type { AnalysedSample } from "./read-evaluation.ts";
import { estimateOverTasks, mean, type TaskEstimate } from "./task-estimate.ts";

/** `window` is all that was decoded, filler included, as in the paper; `answer` ends with the end marker. */
export type DecodedPart = "window" | "answer";

export interface ArnessAtK {
  readonly k: number;
  readonly strict: TaskEstimate;
  readonly set: TaskEstimate;
  readonly global: TaskEstimate;
  /** What random orders of the same lengths score on average. */
  readonly chance: { readonly strict: number; readonly set: number; readonly global: number };
}

/** Local AR-ness in both definitions and global AR-ness, for each k. */
export function arnessAtEachK(samples: readonly AnalysedSample[], part: DecodedPart, ks: readonly number[] = KS): ArnessAtK[] {
  const orders = new Map(samples.map((sample) => [sample, orderOf(sample, part)]));
  const decoded = samples.filter((sample) => orders.get(sample)!.length > 0);
  if (decoded.length === 0) return [];
  const ranks = new Map(decoded.map((sample) => [sample, openRanks(orders.get(sample)!)]));
  const lengths = decoded.map((sample) => orders.get(sample)!.length);
  return ks.map((k) => ({
    k,
    strict: estimateOverTasks(decoded, (sample) => share(localHits(orders.get(sample)!, k)))!,
    set: estimateOverTasks(decoded, (sample) => share(localHits(orders.get(sample)!, k, "set")))!,
    global: estimateOverTasks(decoded, (sample) => share(ranks.get(sample)!.map((rank) => rank < k)))!,
    chance: chanceOver(lengths, k),
  }));
}

/** k of the paper's figures: 1 to 9 locally; globally it goes to 4. */
const KS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export interface ArnessAtSteps {
  /** Denoising steps. */
  readonly steps: Bin;
  /** Share of what they fixed that continued to the right of the position before, k = 1; undefined where nothing came before. */
  readonly local: TaskEstimate | undefined;
  /** Share that was the leftmost open position, k = 1. */
  readonly global: TaskEstimate;
}

/** AR-ness over the course of a decode. Steps that fix nothing have none. */
export function arnessAtEachStep(samples: readonly AnalysedSample[], steps: number): ArnessAtSteps[] {
  const bins = binsOf(steps, MOST_STEPS);
  const sorted = new Map(
    samples.map((sample) => {
      const [hits, ranks] = [localHits(sample.order, 1), openRanks(sample.order)];
      const inBins = bins.map(() => ({ local: [] as boolean[], global: [] as boolean[] }));
      for (const [t, position] of sample.order.entries()) {
        const { local, global } = inBins[binIndex(bins, sample.trace[position]!)]!;
        if (t > 0) local.push(hits[t]!);
        global.push(ranks[t] === 0);
      }
      return [sample, inBins];
    }),
  );
  return bins.flatMap((bin, i) => {
    const of = (scope: "local" | "global") =>
      estimateOverTasks(samples, (sample) => {
        const hits = sorted.get(sample)![i]![scope];
        return hits.length === 0 ? undefined : share(hits);
      });
    const global = of("global");
    return global === undefined ? [] : [{ steps: bin, local: of("local"), global }];
  });
}

const MOST_STEPS = 32;

/** Local and global AR-ness at k = 1 of one answer over its window. */
export const localAtOne = ({ order }: AnalysedSample): number => share(localHits(order, 1));
export const globalAtOne = ({ order }: AnalysedSample): number => share(openRanks(order).map((rank) => rank === 0));

function orderOf({ order, answerTokens }: AnalysedSample, part: DecodedPart): readonly number[] {
  return part === "window" ? order : order.filter((position) => position < answerTokens);
}

function chanceOver(lengths: readonly number[], k: number): ArnessAtK["chance"] {
  const ofLength = new Map([...new Set(lengths)].map((length) => [length, chanceArness(length, k)]));
  const over = (name: "strict" | "set" | "global") => mean(lengths.map((length) => ofLength.get(length)![name]));
  return { strict: over("strict"), set: over("set"), global: over("global") };
}

const share = (hits: readonly boolean[]): number => hits.filter(Boolean).length / hits.length;
