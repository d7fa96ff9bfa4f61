import { arnessAtEachK, arnessAtEachStep, type ArnessAtK, type ArnessAtSteps } from "./arness-curves.ts";
import { entropySink, type EntropySink } from "./entropy-sink.ts";
import { orderMap, type OrderCell } from "./order-map.ts";
import { readEvaluation, type AnalysedDecoding, type Evaluation, type EvaluationSource } from "./read-evaluation.ts";
import { decodedAt, poolSeries, temperaturesOf, type Series } from "./series.ts";
import { changesOf, stepsStudies, temperatureSweep, type Change, type StepsStudy, type TemperaturePoint } from "./studies.ts";

/** How one checkpoint answers one benchmark; orders and confidences are of its lowest temperature, which is the greedy answer. */
export interface SeriesAnalysis {
  readonly name: string;
  readonly benchmark: string;
  readonly decoding: AnalysedDecoding;
  readonly runs: readonly string[];
  readonly seeds: readonly number[];
  readonly orders: OrderAnalysis | null;
  readonly temperatures: readonly TemperaturePoint[];
}

export interface OrderAnalysis {
  readonly temperature: number;
  readonly tasks: number;
  readonly samples: number;
  readonly arness: { readonly window: readonly ArnessAtK[]; readonly answer: readonly ArnessAtK[] };
  readonly arnessBySteps: readonly ArnessAtSteps[];
  readonly sink: EntropySink;
  readonly map: readonly OrderCell[];
}

/** What evaluations say about decoding: all numbers of the page, as `analyze -o json` prints them. */
export interface Analysis {
  readonly runs: readonly { readonly name: string; readonly seed: number }[];
  readonly series: readonly SeriesAnalysis[];
  /** Candidates against their baselines. */
  readonly changes: readonly Change[];
  /** Empty unless a checkpoint was decoded in several numbers of steps. */
  readonly stepsStudies: readonly StepsStudy[];
}

/** @throws EvaluationCorrupt naming file and line */
export async function analyzeEvaluations(sources: readonly EvaluationSource[]): Promise<Analysis> {
  const evaluations: Evaluation[] = [];
  for (const source of sources) evaluations.push(await readEvaluation(source));
  const { series, pairs } = poolSeries(evaluations);
  return {
    runs: evaluations.map(({ name, seed }) => ({ name, seed })),
    series: series.map(analyzeSeries),
    changes: pairs.flatMap(changesOf),
    stepsStudies: stepsStudies(series),
  };
}

function analyzeSeries(series: Series): SeriesAnalysis {
  const { name, benchmark, decoding, runs, seeds } = series;
  return { name, benchmark, decoding, runs, seeds, orders: analyzeOrders(series), temperatures: temperatureSweep(series) };
}

function analyzeOrders(series: Series): OrderAnalysis | null {
  const temperature = temperaturesOf(series).find((each) => decodedAt(series, each).length > 0);
  if (temperature === undefined) return null;
  const samples = decodedAt(series, temperature);
  const { algorithm } = series.decoding;
  const steps = samples.reduce((most, { trace }) => trace.reduce((last, step) => Math.max(last, step + 1), most), series.decoding.steps);
  return {
    temperature,
    tasks: new Set(samples.map(({ task_id }) => task_id)).size,
    samples: samples.length,
    arness: { window: arnessAtEachK(samples, "window"), answer: arnessAtEachK(samples, "answer") },
    arnessBySteps: arnessAtEachStep(samples, steps),
    sink: entropySink(samples, { algorithm, steps }),
    map: orderMap(samples, { algorithm, steps }),
  };
}
