import type { AnalysedDecoding, AnalysedSample, Evaluation } from "./read-evaluation.ts";

/** All answers of one checkpoint to one benchmark, decoded one way; several seeds and evaluations may have added to it. */
export interface Series {
  /** Stage and step, and the checkpoint's digest. */
  readonly name: string;
  readonly benchmark: string;
  readonly digest: string;
  readonly decoding: AnalysedDecoding;
  /** Evaluations that it comes from. */
  readonly runs: readonly string[];
  readonly seeds: readonly number[];
  readonly samples: readonly AnalysedSample[];
}

/** The same checkpoint's answers before and after, within one evaluation. */
export interface SeriesPair {
  readonly before: Series;
  readonly after: Series;
}

interface OpenSeries extends Series {
  readonly runs: string[];
  readonly seeds: number[];
  readonly samples: AnalysedSample[];
  readonly known: Set<string>;
}

/** Pools what evaluations share. An answer that two of them hold, such as a common baseline's, counts once. */
export function poolSeries(evaluations: readonly Evaluation[]): { readonly series: readonly Series[]; readonly pairs: readonly SeriesPair[] } {
  const pooled = new Map<string, OpenSeries>();
  const pairs = new Map<string, SeriesPair>();
  for (const evaluation of evaluations) {
    for (const { name: benchmark, decoding } of evaluation.benchmarks) {
      const byRole = new Map<string, OpenSeries>();
      for (const { role, stage, step, digest } of evaluation.checkpoints) {
        const samples = evaluation.samples.filter((sample) => sample.checkpoint === role && sample.benchmark === benchmark);
        if (samples.length === 0) continue;
        const key = JSON.stringify([digest, benchmark, decoding]);
        const series = pooled.get(key) ?? { name: `${stage}, step ${step}, ${digest.slice(0, 12)}`, benchmark, digest, decoding, runs: [], seeds: [], samples: [], known: new Set<string>() };
        pooled.set(key, series);
        byRole.set(role, series);
        addSamples(series, evaluation.name, samples);
      }
      const [before, after] = [byRole.get("baseline"), byRole.get("candidate")];
      if (before !== undefined && after !== undefined && before !== after) pairs.set(JSON.stringify([benchmark, before.digest, after.digest, before.decoding]), { before, after });
    }
  }
  return { series: [...pooled.values()], pairs: [...pairs.values()] };
}

function addSamples(series: OpenSeries, run: string, samples: readonly AnalysedSample[]): void {
  if (!series.runs.includes(run)) series.runs.push(run);
  for (const each of samples) {
    const { task_id, temperature, sample, seed } = each;
    const identity = JSON.stringify([task_id, temperature, sample, seed]);
    if (series.known.has(identity)) continue;
    series.known.add(identity);
    series.samples.push(each);
    if (!series.seeds.includes(seed)) series.seeds.push(seed);
  }
}

/** Temperatures of a series, from greedy up. */
export function temperaturesOf({ samples }: Series): number[] {
  return [...new Set(samples.map(({ temperature }) => temperature))].sort((a, b) => a - b);
}

/** Answers of a series that were decoded at a temperature, and so have an order. */
export function decodedAt({ samples }: Series, temperature: number): AnalysedSample[] {
  return samples.filter((sample) => sample.temperature === temperature && sample.order.length > 0);
}
