import { describeDifference, escape, inPoints, isClear, NO_WIDTH, page, percent } from "../page.ts";
import type { Estimate } from "../report.ts";
import type { Analysis, OrderAnalysis, SeriesAnalysis } from "./analyze.ts";
import type { ArnessAtK } from "./arness-curves.ts";
import { COLORS, differenceChart, heatMap, lineChart, type CurvePoint } from "./charts.ts";
import type { AtPositions } from "./entropy-sink.ts";
import { FIGURE_STYLE, renderFigure, type Figure, type LegendEntry } from "./figure.ts";
import { noiseNotes } from "./noise.ts";
import type { OrderCell } from "./order-map.ts";
import type { Change, StepsStudy } from "./studies.ts";

/** Draws an analysis as one self-contained HTML page: light and dark, readable on a phone, no scripts. */
export function renderAnalysisPage(analysis: Analysis): string {
  const benchmarks = [...new Set(analysis.series.map(({ benchmark }) => benchmark))];
  const runs = analysis.runs.map(({ name, seed }) => `${escape(name)} (seed ${seed})`).join(", ");
  return page(
    "DiffuCoder decoding analysis",
    `<p>Of ${runs}. Intervals are 95 % bootstrap intervals over tasks: they tell what other tasks would have done to a figure, not what
another training seed would. A difference whose interval holds zero, or whose two intervals overlap, is inside the noise. ${NO_WIDTH}</p>
${benchmarks.map((benchmark) => benchmarkSection(benchmark, analysis)).join("\n")}`,
    FIGURE_STYLE,
  );
}

/** A series with what every figure says of it. */
interface Drawn extends SeriesAnalysis {
  readonly color: number;
  /** A letter, by which notes speak of it. */
  readonly label: string;
}

type Ordered = Drawn & { readonly orders: OrderAnalysis };

function benchmarkSection(benchmark: string, { series, changes, stepsStudies }: Analysis): string {
  const drawn = series.filter((each) => each.benchmark === benchmark).map((each, color): Drawn => ({ ...each, color, label: letter(color) }));
  const ordered = drawn.filter((each): each is Ordered => each.orders !== null);
  const parts: [heading: string, figures: readonly Figure[], sentences?: readonly string[]][] = [
    ["AR-ness", ordered.length === 0 ? [] : [...arnessFigures(ordered, "window"), ...arnessFigures(ordered, "answer"), ...arnessStepFigures(ordered)]],
    ["Entropy sink", ordered.length === 0 ? [] : sinkFigures(ordered), ordered.map(sinkSentence)],
    ["Order of tokens", ordered.flatMap(mapFigures)],
    ["Temperature", temperatureFigures(drawn)],
    ["Fewer steps", stepsFigures(stepsStudies.filter((study) => study.benchmark === benchmark), drawn), stepsSentences(stepsStudies.filter((study) => study.benchmark === benchmark))],
    ...changeParts(changes.filter((change) => change.benchmark === benchmark), drawn),
  ];
  const sections = parts
    .filter(([, figures]) => figures.length > 0)
    .map(([heading, figures, sentences = []]) => `<h3>${escape(heading)}</h3><div class="figures">${figures.map(renderFigure).join("\n")}</div>${sentences.map((sentence) => `<p>${escape(sentence)}</p>`).join("\n")}`);
  const repeated = drawn.length > COLORS ? `<p>There are more series than colours, so colours repeat.</p>` : "";
  return `<h2>${escape(benchmark)}</h2>\n${overview(drawn)}\n${repeated}${sections.join("\n")}`;
}

function overview(drawn: readonly Drawn[]): string {
  const rows = drawn.map(({ color, label, name, decoding, runs, seeds, orders, temperatures }) => {
    const scores = temperatures.map(({ temperature, passAtK: [pass1] }) => `${temperatureName(temperature)} ${pass1 === undefined ? "-" : withInterval(pass1, percent)}`);
    const [atOne] = orders?.arness.window ?? [];
    const arness = atOne === undefined ? ["-", "-"] : [atOne.strict, atOne.global].map((estimate) => withInterval(estimate, digits));
    return `<tr><th scope="row"><span class="legend"><i style="background:var(--series-${(color % COLORS) + 1})"></i>${label}</span> ${escape(name)}<br><small>${escape(`${decodingText(decoding)}; ${origin({ runs, seeds })}`)}</small></th>
<td>${scores.join("<br>")}</td><td>${arness[0]}</td><td>${arness[1]}</td></tr>`;
  });
  return `<div class="scroll"><table>
<tr><th></th><th>pass@1</th><th>local AR-ness, k = 1</th><th>global AR-ness, k = 1</th></tr>
${rows.join("\n")}</table></div>`;
}

const PARTS = { window: "over the whole window behind the prompt, filler included, as in the paper", answer: "only over positions up to the end marker" } as const;

function arnessFigures(ordered: readonly Ordered[], part: keyof typeof PARTS): Figure[] {
  const forms = [
    { form: "strict", name: "Local AR-ness, in order", says: "Share of steps whose k predecessors fixed the k positions just before, from left to right" },
    { form: "set", name: "Local AR-ness, as a set", says: "Share of steps whose k predecessors fixed the k positions just before, in any order; need not fall with k" },
    { form: "global", name: "Global AR-ness", says: "Share of steps that fixed one of the k leftmost open positions" },
  ] as const;
  return forms.map(({ form, name, says }) => {
    const points = (each: Ordered) => each.orders.arness[part].map((at): CurvePoint => ({ x: at.k, ...at[form] }));
    const chance = { points: chanceOf(ordered[0]!.orders.arness[part], form) };
    const title = part === "window" ? name : `${name}, answers alone`;
    return curvesFigure(ordered, { title, says: `${says}; ${PARTS[part]}. Dotted: what random orders score.`, x: "k", y: "share of steps", isUpToOne: form === "global", unit: "k", points, chance });
  });
}

const chanceOf = (arness: readonly ArnessAtK[], form: "strict" | "set" | "global"): CurvePoint[] => arness.map(({ k, chance }) => ({ x: k, mean: chance[form] }));

function arnessStepFigures(ordered: readonly Ordered[]): Figure[] {
  return (["local", "global"] as const).map((scope) => {
    const points = (each: Ordered) => each.orders.arnessBySteps.flatMap((at): CurvePoint[] => (at[scope] === undefined ? [] : [{ x: (at.steps.from + at.steps.to - 1) / 2 + 1, ...at[scope] }]));
    const says = scope === "local" ? "Of what each denoising step fixed, the share that came right behind the position fixed before." : "Of what each denoising step fixed, the share that was the leftmost open position.";
    return curvesFigure(ordered, { title: `${scope === "local" ? "Local" : "Global"} AR-ness by step, k = 1`, says: `${says} Within a step, the surest counts as first.`, x: "denoising step", y: "share", isUpToOne: scope === "global", unit: "step", points });
  });
}

function sinkFigures(ordered: readonly Ordered[]): Figure[] {
  const curve = (byPosition: readonly AtPositions[]) => byPosition.map(({ positions, ...estimate }): CurvePoint => ({ x: (positions.from + positions.to - 1) / 2, ...estimate }));
  const axes = { x: "position behind the prompt", isUpToOne: true, unit: "position" };
  const withFirstPass = ordered.filter(({ orders }) => orders.sink.firstPass !== null);
  const firstPass = {
    title: "Certainty at the first pass",
    says: "Of every position while all are masked, as the paper draws the entropy sink: exp(-H) of the entropy H, 1 where one token is sure. It depends on the prompt alone.",
    points: ({ orders }: Ordered) => curve(orders.sink.firstPass!.byPosition),
  };
  const whenFixed = {
    title: "Certainty when fixed",
    says: "The confidence of a position at the step that fixed it, of the algorithm's own measure (for entropy H, exp(-H)).",
    points: ({ orders }: Ordered) => curve(orders.sink.whenFixed.byPosition),
  };
  const fixedAt = { title: "When positions are fixed", says: "0 is the first denoising step, 1 the last. From left to right, it is a rising line.", points: ({ orders }: Ordered) => curve(orders.sink.fixedAt) };
  return [
    ...(withFirstPass.length === 0 ? [] : [curvesFigure(withFirstPass, { ...axes, ...firstPass, y: "certainty" })]),
    curvesFigure(ordered, { ...axes, ...whenFixed, y: "certainty" }),
    curvesFigure(ordered, { ...axes, ...fixedAt, y: "time fixed" }),
  ];
}

function sinkSentence({ label, orders: { sink } }: Ordered): string {
  const { firstPass, whenFixed, earlyNearPrompt } = sink;
  const when = firstPass === null ? "when positions are fixed (the first pass was not kept)" : "at the first pass";
  const { halfLife, firstMass, evenMass } = firstPass ?? whenFixed;
  const sinks = halfLife === null ? "certainty never sinks to half of that next to the prompt" : `certainty sinks to half of that next to the prompt at position ${halfLife}`;
  const mass = firstMass === undefined ? "" : ` The first 8 positions hold ${withInterval(firstMass, percent, false)} of it; spread evenly, they would hold ${percent(evenMass)}.`;
  return `${label}: ${when}, ${sinks}.${mass} Of the tenth that is fixed first, ${withInterval(earlyNearPrompt, percent, false)} lies in the tenth next to the prompt; by chance, about 10 % would.`;
}

function mapFigures(each: Ordered): Figure[] {
  const { map } = each.orders;
  const legend = [legendOf(each)];
  const cells = (strengthOf: (cell: OrderCell) => number) => map.map((cell) => ({ positions: cell.positions, steps: cell.steps, strength: strengthOf(cell) }));
  const byRoot = cells(({ share }) => Math.sqrt(share)); // so that small shares of long windows show
  return [
    { title: "Order", chart: heatMap(`Order of tokens, ${each.label}`, byRoot, each.color), says: "The stronger the colour, the more of these positions were fixed at these steps, by the square root of their share. From left to right, it is a diagonal. Over all answers, without interval.", legend },
    { title: "Certainty", chart: heatMap(`Certainty, ${each.label}`, cells(({ certainty }) => certainty), each.color), says: "The stronger the colour, the surer the model was of what it fixed there. Means over all answers, without interval.", legend },
  ];
}

function temperatureFigures(drawn: readonly Drawn[]): Figure[] {
  const sweeps = drawn.filter(({ temperatures }) => temperatures.length > 1);
  if (sweeps.length === 0) return [];
  const passFigures = sweeps.map((each): Figure => {
    const curves = each.temperatures.map(({ temperature, passAtK }, color) => ({ name: temperatureName(temperature), color, points: passAtK.map(({ k, ...estimate }) => ({ x: k, ...estimate })) }));
    const title = `pass@k by temperature, ${each.label}`;
    const legend = each.temperatures.map(({ temperature, tasks, samplesPerTask }, color) => ({ color, text: `${temperatureName(temperature)}: ${each.name}, ${each.decoding.steps} steps; ${origin(each)}; n = ${tasks} tasks, ${samplesPerTask} ${samplesPerTask === 1 ? "answer" : "answers"} each` }));
    return { title, chart: lineChart(title, { x: { label: "k →" }, y: { label: "↑ pass@k", domain: [0, 1] }, curves }), says: "Without bias from n samples. Bars: 95 % intervals.", legend, notes: noiseNotes(curves, "k") };
  });
  const arness = (scope: "local" | "global") =>
    curvesFigure(sweeps, {
      title: `${scope === "local" ? "Local" : "Global"} AR-ness by temperature, k = 1`,
      says: "Over the whole window.",
      x: "temperature",
      y: "share of steps",
      isUpToOne: scope === "global",
      unit: "T",
      points: ({ temperatures }) => temperatures.flatMap((at): CurvePoint[] => (at[scope] === undefined ? [] : [{ x: at.temperature, ...at[scope] }])),
      answers: ({ temperatures }) => temperatures.reduce((sum, { global }) => sum + (global?.samples ?? 0), 0),
    });
  return [...passFigures, arness("global"), arness("local")];
}

function stepsFigures(studies: readonly StepsStudy[], drawn: readonly Drawn[]): Figure[] {
  return [...Map.groupBy(studies, ({ name }) => name)].map(([name, group]) => {
    const curves = group.map(({ temperature, points }, color) => ({ name: temperatureName(temperature), color, points: points.map(({ steps, pass1 }) => ({ x: steps, ...pass1 })) }));
    const title = `pass@1 by denoising steps, ${name}`;
    const source = origin(mergeOrigins(drawn.filter((each) => each.name === name)));
    const legend = group.map(({ temperature, points }, color) => ({ color, text: `${temperatureName(temperature)}: ${source}; n = ${points.map(({ steps, pass1 }) => `${pass1.samples} answers to ${pass1.tasks} tasks in ${steps} steps`).join(", ")}` }));
    return { title, chart: lineChart(title, { x: { label: "denoising steps →" }, y: { label: "↑ pass@1", domain: [0, 1] }, curves }), says: "Bars: 95 % intervals.", legend, notes: noiseNotes(curves, "steps") };
  });
}

function stepsSentences(studies: readonly StepsStudy[]): string[] {
  return studies.flatMap(({ name, temperature, points }) =>
    points.flatMap(({ steps, loss }) => {
      if (loss === null) return [];
      const best = points[0]!;
      const relative = best.pass1.mean === 0 ? "" : `${percent(loss.mean / best.pass1.mean)} relative, `;
      return [`${name}, ${temperatureName(temperature)}: ${steps} instead of ${best.steps} steps change pass@1 by ${relative}${describeDifference(loss, inPoints)}. n = ${loss.tasks} tasks.`];
    }),
  );
}

function changeParts(changes: readonly Change[], drawn: readonly Drawn[]): [string, readonly Figure[], readonly string[]][] {
  return [...Map.groupBy(changes, ({ before, after, steps }) => `${after} against ${before}, ${steps} steps`)].map(([title, group]) => {
    const nameOf = ({ measure, temperature }: Change) => `${measure}, ${temperatureName(temperature)}`;
    const rows = group.map((change) => ({ label: nameOf(change), mean: change.mean, interval: change.interval, isClear: isClear(change) }));
    const { before, after, steps } = group[0]!;
    const source = origin(mergeOrigins(drawn.filter(({ name, decoding }) => (name === before || name === after) && decoding.steps === steps)));
    const inside = rows.filter((row) => !row.isClear).length;
    const legend = [{ color: 0, text: `${title}; ${source}; n = ${group[0]!.tasks} tasks` }];
    const figure = { title: "Before and after", chart: differenceChart(title, rows, "after minus before →"), says: "Task by task, with 95 % intervals. Full dots are clear of zero, hollow ones are inside the noise.", legend, notes: [`${inside} of ${rows.length} differences are inside the noise; about one in twenty that are none would look clear by chance.`] };
    const sentences = group.map((change) => `${nameOf(change)}: ${describeDifference(change, change.measure === "pass@1" ? inPoints : signed)}. n = ${change.tasks} tasks, ${change.samples} answers.`);
    return [`Before and after: ${title}`, [figure], sentences];
  });
}

interface CurvesFigure<T> {
  readonly title: string;
  readonly says: string;
  readonly x: string;
  readonly y: string;
  /** Whether the axis is drawn up to 1, whatever the values; else as far as they go. */
  readonly isUpToOne: boolean;
  readonly unit: string;
  readonly points: (series: T) => readonly CurvePoint[];
  readonly chance?: { readonly points: readonly CurvePoint[] };
  readonly answers?: (series: T) => number;
}

/** A curve for each series. */
function curvesFigure<T extends Drawn>(series: readonly T[], { title, says, x, y, isUpToOne, unit, points, chance, answers }: CurvesFigure<T>): Figure {
  const curves = series.map((each) => ({ name: each.label, color: each.color, points: points(each) }));
  const chart = lineChart(title, { x: { label: `${x} →` }, y: { label: `↑ ${y}`, ...(isUpToOne ? { domain: [0, 1] } : {}) }, curves: [...curves, ...(chance === undefined ? [] : [chance])] });
  return { title, chart, says: `${says} Bars and bands: 95 % intervals.`, legend: series.map((each) => legendOf(each, answers?.(each))), notes: noiseNotes(curves, unit) };
}

function legendOf({ color, label, name, decoding, runs, seeds, orders, temperatures }: Drawn, answers?: number): LegendEntry {
  const tasks = orders?.tasks ?? temperatures[0]!.tasks;
  const at = answers === undefined && orders !== null ? `, ${temperatureName(orders.temperature)}` : "";
  return { color, text: `${label}: ${name}, ${decoding.steps} steps${at}; ${origin({ runs, seeds })}; n = ${tasks} tasks, ${answers ?? orders?.samples ?? 0} answers` };
}

type Origin = Pick<SeriesAnalysis, "runs" | "seeds">;

function origin({ runs, seeds }: Origin): string {
  return `run ${runs.join(", ")}; ${seeds.length === 1 ? "seed" : "seeds"} ${seeds.join(", ")}`;
}

function mergeOrigins(all: readonly Origin[]): Origin {
  return { runs: [...new Set(all.flatMap(({ runs }) => runs))], seeds: [...new Set(all.flatMap(({ seeds }) => seeds))] };
}

function decodingText({ canvasLength, steps, algorithm, topP, topK, positionTemperature = 0, blockLength, cache, threshold, factor, stopAtEnd = false }: SeriesAnalysis["decoding"]): string {
  return [
    `${steps} steps on a canvas of ${canvasLength}`,
    algorithm,
    ...(topP === 1 ? [] : [`top-p ${topP}`]),
    ...(topK === undefined ? [] : [`top-k ${topK}`]),
    ...(positionTemperature === 0 ? [] : [`positions at T = ${positionTemperature}`]),
    ...(blockLength === undefined ? [] : [`blocks of ${blockLength}${cache === undefined ? "" : ` with a ${cache} cache`}`]),
    ...(threshold === undefined ? [] : [`threshold ${threshold}`]),
    ...(factor === undefined ? [] : [`factor ${factor}`]),
    ...(stopAtEnd ? ["stopping at the end"] : []),
  ].join(", ");
}

const letter = (index: number): string => (index < 26 ? String.fromCharCode(65 + index) : `S${index + 1}`);
const temperatureName = (temperature: number): string => (temperature === 0 ? "greedy" : `T = ${temperature}`);
const digits = (value: number): string => value.toFixed(3);
const signed = (value: number): string => `${value > 0 ? "+" : ""}${value.toFixed(3)}`;

function withInterval({ mean, interval: [lower, upper] }: Estimate, format: (value: number) => string, isMarkup = true): string {
  const range = `${format(lower)} to ${format(upper)}`;
  return isMarkup ? `${format(mean)} <small>${range}</small>` : `${format(mean)} (${range})`;
}
