import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { Bin } from "./bins.ts";

/** A chart as SVG text; its colours are the page's, so that it is light and dark with it. */
export type Chart = string;

export interface CurvePoint {
  readonly x: number;
  readonly mean: number;
  readonly interval?: readonly [lower: number, upper: number];
}

export interface Curve {
  /** Of `seriesColor`; none for what is no series, such as chance. */
  readonly color?: number;
  readonly points: readonly CurvePoint[];
}

interface Axis {
  readonly label: string;
  readonly domain?: [number, number];
}

/** Colours tell series apart where there are at most so many; beyond, they are used again. */
export const COLORS = 6;

export const seriesColor = (index: number): string => `var(--series-${(index % COLORS) + 1})`;

/** Curves over numbers, each with its interval: bars where points are few, a band where they are many. */
export function lineChart(title: string, { x, y, curves }: { readonly x: Axis; readonly y: Axis; readonly curves: readonly Curve[] }): Chart {
  const measured = curves.filter(({ color }) => color !== undefined);
  const marks = curves.flatMap(({ color, points }) => {
    if (color === undefined) return [Plot.line(points, { x: "x", y: "mean", stroke: "currentColor", strokeOpacity: 0.5, strokeDasharray: "2,3", strokeWidth: 1 })];
    const stroke = seriesColor(color);
    const dx = points.length > MOST_BARS ? 0 : BAR_GAP * (measured.findIndex((curve) => curve.color === color) - (measured.length - 1) / 2);
    const intervals = points.flatMap(({ interval, ...point }) => (interval === undefined ? [] : [{ ...point, lower: interval[0], upper: interval[1] }]));
    const spread =
      points.length > MOST_BARS
        ? Plot.areaY(intervals, { x: "x", y1: "lower", y2: "upper", fill: stroke, fillOpacity: 0.18 })
        : Plot.ruleX(intervals, { x: "x", y1: "lower", y2: "upper", stroke, strokeOpacity: 0.7, dx });
    const dots = points.length > MOST_BARS ? [] : [Plot.dot(points, { x: "x", y: "mean", fill: stroke, r: 2.5, dx })];
    return [spread, Plot.line(points, { x: "x", y: "mean", stroke, strokeWidth: 1.75, dx }), ...dots];
  });
  const xs = new Set(curves.flatMap(({ points }) => points.map((point) => point.x)));
  const ticks = xs.size > 0 && xs.size <= MOST_TICKS ? { ticks: [...xs].sort((a, b) => a - b), tickFormat: String } : { ticks: 6 };
  return draw(title, { height: 240, x: { ...axis(x), ...ticks, inset: 8 }, y: { ...axis(y), ticks: 5, grid: true, zero: true }, marks });
}

const MOST_BARS = 13;
const MOST_TICKS = 11;
/** Pixels by which bars of different series stand apart. */
const BAR_GAP = 2;

export interface HeatCell {
  readonly positions: Bin;
  readonly steps: Bin;
  /** How strong its colour is, 0..1. */
  readonly strength: number;
}

/** Positions from left to right, steps from the top down; the darker (in the dark, the lighter), the more. */
export function heatMap(title: string, cells: readonly HeatCell[], color: number): Chart {
  const rects = cells.map(({ positions, steps, strength }) => ({ x1: positions.from, x2: positions.to, y1: steps.from, y2: steps.to, strength }));
  return draw(title, {
    height: 240,
    x: { label: "position behind the prompt →", labelArrow: "none", ticks: 6 },
    y: { label: "↓ denoising step", labelArrow: "none", reverse: true, ticks: 6 },
    marks: [Plot.rect(rects, { x1: "x1", x2: "x2", y1: "y1", y2: "y2", fill: seriesColor(color), fillOpacity: "strength", shapeRendering: "crispEdges" }), Plot.frame({ strokeOpacity: 0.3 })],
  });
}

export interface DifferenceRow {
  readonly label: string;
  readonly mean: number;
  readonly interval: readonly [lower: number, upper: number];
  /** Whether zero lies outside the interval; drawn full then, else hollow. */
  readonly isClear: boolean;
}

/** A row for each difference with its interval, around zero. */
export function differenceChart(title: string, rows: readonly DifferenceRow[], label: string): Chart {
  const bars = rows.map(({ interval: [lower, upper], ...row }) => ({ ...row, lower, upper }));
  return draw(title, {
    height: 60 + 26 * rows.length,
    marginLeft: 150,
    x: { label, labelArrow: "none", ticks: 4, grid: true, zero: true, inset: 8 },
    y: { type: "band", label: null, domain: rows.map((row) => row.label), tickSize: 0 },
    marks: [
      Plot.ruleX([0], { strokeOpacity: 0.6 }),
      Plot.ruleY(bars, { y: "label", x1: "lower", x2: "upper", stroke: seriesColor(0), strokeWidth: 2 }),
      Plot.dot(bars, { y: "label", x: "mean", stroke: seriesColor(0), fill: ({ isClear }: DifferenceRow) => (isClear ? seriesColor(0) : "Canvas"), r: 4 }),
    ],
  });
}

function axis({ label, domain }: Axis): { label: string; labelArrow: "none"; domain?: [number, number] } {
  return { label, labelArrow: "none", ...(domain === undefined ? {} : { domain }) };
}

/** As wide as a phone shows at full size, so that letters stay readable there. */
const WIDTH = 340;

function draw(title: string, options: Plot.PlotOptions): Chart {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const svg = Plot.plot({ width: WIDTH, className: "chart", color: { type: "identity" }, marginLeft: 40, marginTop: 28, marginBottom: 36, ...options, document, ariaLabel: title });
  return svg.outerHTML.replace(/<style>[^]*?<\/style>/, "");
}
