import { escape } from "../page.ts";
import { seriesColor, type Chart } from "./charts.ts";

export interface LegendEntry {
  /** See `seriesColor`. */
  readonly color: number;
  /** What the curve is of: checkpoint, run, seeds and n. */
  readonly text: string;
}

export interface Figure {
  readonly title: string;
  readonly chart: Chart;
  /** What is drawn, and how to read it. */
  readonly says: string;
  readonly legend: readonly LegendEntry[];
  /** What is inside the noise. */
  readonly notes?: readonly string[];
}

export function renderFigure({ title, chart, says, legend, notes = [] }: Figure): string {
  const entries = legend.map(({ color, text }) => `<li><i style="background:${seriesColor(color)}"></i>${escape(text)}</li>`).join("");
  return `<figure>${chart}<figcaption><b>${escape(title)}.</b> ${escape(says)}
<ul class="legend">${entries}</ul>${notes.map((note) => `<p>${escape(note)}</p>`).join("")}</figcaption></figure>`;
}

/** Colours are told apart by people who see few of them (Okabe and Ito's set, lightened where the page is dark). */
export const FIGURE_STYLE = `
:root { --series-1: #0072b2; --series-2: #d55e00; --series-3: #009e73; --series-4: #b8559a; --series-5: #8a6d00; --series-6: #4a4a4a; }
@media (prefers-color-scheme: dark) { :root { --series-1: #56b4e9; --series-2: #ff8a3d; --series-3: #2fcf9f; --series-4: #e29ac8; --series-5: #f0e442; --series-6: #c4c4c4; } }
body { overflow-wrap: anywhere; }
body { max-width: 72rem; }
th, td { overflow-wrap: normal; vertical-align: top; }
td { white-space: nowrap; }
th small { font-weight: normal; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.5rem; align-items: start; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 0.85rem; }
figcaption p { margin: 0.25rem 0; }
.chart { display: block; max-width: 100%; height: auto; overflow: visible; }
.chart text { white-space: pre; }
.legend { list-style: none; margin: 0.25rem 0; padding: 0; }
.legend i { display: inline-block; width: 0.75em; height: 0.75em; margin-right: 0.4em; border-radius: 2px; }
`;
