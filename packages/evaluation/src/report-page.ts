import type { BenchmarkFacts, BenchmarkScores, Estimate, EvaluationReport, TemperatureScores } from "./report.ts";

/** Renders a report as one self-contained HTML page: light and dark, readable on a phone, no scripts. */
export function renderReportPage(report: EvaluationReport): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DiffuCoder evaluation</title>
<style>${STYLE}</style>
<h1>DiffuCoder evaluation</h1>
<p>Seed ${report.seed}. Intervals are 95 % bootstrap intervals over tasks.</p>
${report.benchmarks.map((benchmark) => benchmarkSection(benchmark, report)).join("\n")}
${training(report)}
</html>
`;
}

function benchmarkSection(benchmark: BenchmarkFacts, { checkpoints, differences }: EvaluationReport): string {
  const { name, tasks, skipped } = benchmark;
  const scored = checkpoints.map(({ benchmarks, ...checkpoint }) => ({ checkpoint, scores: benchmarks.find((each) => each.benchmark === name)! }));
  const rows = scored.map(
    ({ checkpoint: { role, stage, step, digest }, scores }) => `<tr><th scope="row">${escape(role)}<br><small>${escape(stage)}, step ${step}<br>${digest.slice(0, 12)}</small></th>
${scores.scores.map((each) => `<td>${passAtK(each)}</td>`).join("")}
<td>${arness(scores.arness.local)}</td><td>${arness(scores.arness.global)}</td><td>${counts(scores.verdicts)}</td></tr>`,
  );
  const heads = scored[0]!.scores.scores.map(({ temperature, samplesPerTask }) => `<th>${temperature === 0 ? "greedy" : `${samplesPerTask} samples, T = ${temperature}`}</th>`).join("");
  const notes = [...(skipped.length === 0 ? [] : [skippedNote(skipped)]), ...differences.filter((each) => each.benchmark === name).map(describeDifference)];
  return `<h2>${escape(name)}, ${tasks} tasks</h2><div class="scroll"><table>
<tr><th></th>${heads}<th>local AR-ness</th><th>global AR-ness</th><th>verdicts</th></tr>
${rows.join("\n")}</table></div>
${notes.map((note) => `<p>${note}</p>`).join("\n")}`;
}

function passAtK({ passAtK, basePassAtK }: TemperatureScores): string {
  const lines = passAtK.map(({ k, ...estimate }) => `${withInterval(estimate)} <small>k = ${k}</small>`);
  const base = (basePassAtK ?? []).map(({ k, mean }) => `<small>${percent(mean)} by the base tests alone, k = ${k}</small>`);
  return [...lines, ...base].join("<br>");
}

function arness(values: BenchmarkScores["arness"]["local"]): string {
  return values.map(({ k, mean }) => `${mean.toFixed(3)} <small>k = ${k}</small>`).join("<br>");
}

function skippedNote(skipped: BenchmarkFacts["skipped"]): string {
  const libraries = [...new Set(skipped.flatMap(({ missing }) => missing))].sort();
  return `${skipped.length} tasks skipped, as ${libraries.map(escape).join(", ")} are not here; the scores are over the others.`;
}

/** Says so when the difference is inside the noise. */
function describeDifference({ temperature, mean, interval: [lower, upper] }: EvaluationReport["differences"][number]): string {
  const isClear = lower > 0 || upper < 0;
  return `${temperature === 0 ? "Greedy" : `T = ${temperature}`} pass@1 of the candidate minus the baseline: ${points(mean)} (${points(lower)} to ${points(upper)})${isClear ? "" : "; zero is inside the interval, so this may be chance"}.`;
}

const points = (share: number): string => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} points`;

function training(report: EvaluationReport): string {
  const rows = report.training.map(
    (stage) => `<tr><th scope="row">${escape(stage.stage)}</th><td>${stage.steps}</td>
<td>${stage.validationLossAtStart.toFixed(3)}</td><td>${stage.validationLossAtEnd.toFixed(3)}</td><td>${stage.uniformLoss.toFixed(3)}</td></tr>`,
  );
  if (rows.length === 0) return "";
  return `<h2>Training</h2><div class="scroll"><table>
<tr><th></th><th>steps</th><th>validation loss at start</th><th>at end</th><th>uniform guess, ln V</th></tr>
${rows.join("\n")}</table></div>`;
}

function counts(verdicts: Readonly<Record<string, number>>): string {
  return Object.entries(verdicts)
    .map(([status, count]) => `${escape(status)} ${count}`)
    .join(", ");
}

function withInterval(score: Estimate): string {
  return `${percent(score.mean)} <small>${percent(score.interval[0])} to ${percent(score.interval[1])}</small>`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[char]!);
}

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { padding: 0.35rem 0.75rem; text-align: left; border-bottom: 1px solid color-mix(in srgb, currentcolor 20%, transparent); }
small { opacity: 0.7; }
.scroll { overflow-x: auto; }
`;
