import { describeDifference, escape, inPoints, NO_WIDTH, page, percent } from "./page.ts";
import type { BenchmarkFacts, BenchmarkScores, Estimate, EvaluationReport, TemperatureScores } from "./report.ts";

/** Renders a report as one self-contained HTML page: light and dark, readable on a phone, no scripts. */
export function renderReportPage(report: EvaluationReport): string {
  return page(
    "DiffuCoder evaluation",
    `<p>Seed ${report.seed}. Intervals are 95 % bootstrap intervals over tasks. ${NO_WIDTH}</p>
${report.benchmarks.map((benchmark) => benchmarkSection(benchmark, report)).join("\n")}
${training(report)}`,
  );
}

function benchmarkSection(benchmark: BenchmarkFacts, { checkpoints, differences }: EvaluationReport): string {
  const { name, tasks, skipped, decoding } = benchmark;
  const scored = checkpoints.map(({ benchmarks, ...checkpoint }) => ({ checkpoint, scores: benchmarks.find((each) => each.benchmark === name)! }));
  const rows = scored.map(
    ({ checkpoint: { role, stage, step, digest }, scores }) => `<tr><th scope="row">${escape(role)}<br><small>${escape(stage)}, step ${step}<br>${digest.slice(0, 12)}</small></th>
${scores.scores.map((each) => `<td>${passAtK(each)}</td>`).join("")}
<td>${arness(scores.arness.local)}</td><td>${arness(scores.arness.global)}</td><td>${counts(scores.verdicts)}</td></tr>`,
  );
  const heads = scored[0]!.scores.scores.map(({ temperature, samplesPerTask }) => `<th>${temperature === 0 ? "greedy" : `${samplesPerTask} samples, T = ${temperature}`}</th>`).join("");
  const setting = `Decoded in ${decoding.steps} steps on a canvas of ${decoding.canvasLength} tokens, ${escape(decoding.algorithm)}.`;
  const notes = [setting, ...(skipped.length === 0 ? [] : [skippedNote(skipped)]), ...scored.flatMap(tooLongNote), ...differences.filter((each) => each.benchmark === name).map(differenceSentence)];
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

function tooLongNote({ checkpoint: { role }, scores: { verdicts } }: { readonly checkpoint: { readonly role: string }; readonly scores: BenchmarkScores }): string[] {
  const count = verdicts["prompt-too-long"] ?? 0;
  const all = Object.values(verdicts).reduce((sum, each) => sum + each, 0);
  return count === 0 ? [] : [`${escape(role)}: ${count} of ${all} answers were not begun, as their prompts leave too little of the canvas; they count as not passed.`];
}

function differenceSentence({ temperature, ...difference }: EvaluationReport["differences"][number]): string {
  return `${temperature === 0 ? "Greedy" : `T = ${temperature}`} pass@1 of the candidate minus the baseline: ${describeDifference(difference, inPoints)}.`;
}

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
