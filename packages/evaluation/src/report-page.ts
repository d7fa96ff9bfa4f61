import type { Estimate, EvaluationReport } from "./report.ts";

/** Renders a report as one self-contained HTML page: light and dark, readable on a phone, no scripts. */
export function renderReportPage(report: EvaluationReport): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DiffuCoder evaluation</title>
<style>${STYLE}</style>
<h1>DiffuCoder evaluation</h1>
<p>Seed ${report.seed}; ${report.tasks.count} held-out tasks (${report.tasks.families.map(escape).join(", ")});
${report.samples.perTask} samples a task at temperature ${report.samples.temperature}.
Intervals are 95 % bootstrap intervals over tasks.</p>
${scores(report)}
${humanEval(report)}
${training(report)}
${verdicts(report)}
</html>
`;
}

function scores(report: EvaluationReport): string {
  const rows = report.checkpoints.map((checkpoint) => {
    const passAt = checkpoint.passAtK.map(({ k, mean }) => `<td>${percent(mean)} <small>k = ${k}</small></td>`).join("");
    return `<tr><th scope="row">${escape(checkpoint.role)}<br><small>${escape(checkpoint.stage)}, step ${checkpoint.step}<br>${checkpoint.digest.slice(0, 12)}</small></th>
<td>${withInterval(checkpoint.greedy)}</td><td>${withInterval(checkpoint.sampled)}</td>${passAt}
<td>${checkpoint.arness.local.map(({ k, mean }) => `${mean.toFixed(3)} <small>k = ${k}</small>`).join("<br>")}</td>
<td>${checkpoint.arness.global.map(({ k, mean }) => `${mean.toFixed(3)} <small>k = ${k}</small>`).join("<br>")}</td></tr>`;
  });
  const passHeads = report.checkpoints[0]!.passAtK.map(({ k }) => `<th>pass@${k}</th>`).join("");
  return `<h2>Held-out tasks</h2><div class="scroll"><table>
<tr><th></th><th>greedy pass@1</th><th>sampled pass@1</th>${passHeads}<th>local AR-ness</th><th>global AR-ness</th></tr>
${rows.join("\n")}</table></div>
${report.difference === undefined ? "" : `<p>${describeDifference(report.difference)}</p>`}`;
}

/** Says so when the difference is inside the noise. */
function describeDifference({ mean, interval: [lower, upper] }: Estimate): string {
  const isClear = lower > 0 || upper < 0;
  return `Sampled pass@1 of the candidate minus the baseline: ${points(mean)} (${points(lower)} to ${points(upper)})${isClear ? "" : "; zero is inside the interval, so this may be chance"}.`;
}

const points = (share: number): string => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)} points`;

function humanEval(report: EvaluationReport): string {
  const rows = report.checkpoints.flatMap(({ role, humaneval }) =>
    humaneval === undefined
      ? []
      : [`<tr><th scope="row">${escape(role)}</th><td>${withInterval(humaneval.passAt1)}</td><td>${humaneval.tasks}</td><td>${counts(humaneval.verdicts)}</td></tr>`],
  );
  if (rows.length === 0) return "";
  return `<h2>HumanEval</h2><div class="scroll"><table>
<tr><th></th><th>greedy pass@1</th><th>tasks</th><th>verdicts</th></tr>
${rows.join("\n")}</table></div>`;
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

function verdicts(report: EvaluationReport): string {
  const rows = report.checkpoints.map(({ role, verdicts }) => `<tr><th scope="row">${escape(role)}</th><td>${counts(verdicts)}</td></tr>`);
  return `<h2>Verdicts of all samples</h2><div class="scroll"><table>${rows.join("\n")}</table></div>`;
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
