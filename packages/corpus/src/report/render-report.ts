import type { Drop } from "../drop.ts";
import type { CorpusReport } from "./build-report.ts";
import type { Amount, StageFlow } from "./corpus-flow.ts";
import type { Sweep } from "./threshold-sweep.ts";

/** A report as a page of Markdown. */
export function renderReport(report: CorpusReport): string {
  const { files, kept, stages, bySource, byLanguage, examples, sweeps, personalData, copyrightHeaders, decontamination, waivers } = report;
  const sections = [
    "# Corpus report",
    `${amount(files)} were read, ${amount(kept)} stay.`,
    "## What each stage dropped",
    table(["stage", "files in", "reason", "files", "share", "bytes"], stages.flatMap(stageRows)),
    "## By source",
    table(["source", "files", "stay", "dropped at"], Object.entries(bySource).map(([name, each]) => accountRow(name, each))),
    "## By language",
    table(["language", "files", "stay", "dropped at"], Object.entries(byLanguage).map(([name, each]) => accountRow(name, each))),
    "## Examples",
    ...Object.entries(examples).map(([reason, drops]) => `**${reason}**\n\n${drops.map(exampleOf).join("\n")}`),
    ...(sweeps.length === 0 ? [] : ["## If a bound moved", "Documents that a rule alone would drop. Similarity is absolute; other bounds are multiplied by the factor.", ...sweepTables(sweeps)]),
    ...(Object.keys(personalData).length === 0 ? [] : ["## Personal data and secrets", table(["kind and rule", "spans"], Object.entries(personalData).map(([name, count]) => [name, String(count)]))]),
    ...(copyrightHeaders === null ? [] : ["## Copyright headers", `${copyrightHeaders} different texts begin with one.`]),
    ...(decontamination === null ? [] : ["## Decontamination", decontaminationText(decontamination)]),
    ...(waivers.length === 0 ? [] : ["## Waivers", table(["card", "subject", "expected", "found", "reason"], waivers.map(({ card, subject, expected, found, reason }) => [card, subject, expected, found, reason]))]),
  ];
  return `${sections.join("\n\n")}\n`;
}

function exampleOf({ source, path, value, least, most, of }: Drop): string {
  const bounds = [...(least === undefined ? [] : [`at least ${least}`]), ...(most === undefined ? [] : [`at most ${most}`])];
  const broken = value === undefined ? "" : `: ${[figure(value), ...bounds].join(", ")}`;
  return `- \`${path}\` of ${source}${broken}${of === undefined ? "" : ` (${of})`}`;
}

const amount = ({ files, bytes }: Amount): string => `${files} files (${bytes} bytes)`;
const figure = (value: number): string => String(Number(value.toPrecision(4)));
const percent = (part: number, whole: number): string => (whole === 0 ? "-" : `${((100 * part) / whole).toFixed(2)} %`);

function stageRows({ stage, entered, dropped }: StageFlow): string[][] {
  const reasons = Object.entries(dropped);
  if (reasons.length === 0) return [[stage, String(entered.files), "-", "0", percent(0, entered.files), "0"]];
  return reasons.map(([reason, { files, bytes }]) => [stage, String(entered.files), reason, String(files), percent(files, entered.files), String(bytes)]);
}

function accountRow(name: string, { all, kept, stages }: { all: Amount; kept: Amount; stages: readonly StageFlow[] }): string[] {
  const lost = stages.flatMap(({ stage, dropped }) => {
    const files = Object.values(dropped).reduce((sum, each) => sum + each.files, 0);
    return files === 0 ? [] : [`${stage} ${files}`];
  });
  return [name, String(all.files), `${kept.files} (${percent(kept.files, all.files)})`, lost.join(", ") || "-"];
}

/** One table for each set of positions. */
function sweepTables(sweeps: readonly Sweep[]): string[] {
  const groups = Map.groupBy(sweeps, ({ curve }) => curve.map(({ at }) => at).join(" "));
  return [...groups].map(([positions, group]) => table(["rule", "bound", ...positions.split(" ")], group.map(({ rule, bound, curve }) => [rule, bound, ...curve.map(({ drops }) => String(drops))])));
}

function decontaminationText({ items, tooShort, planted, foundInClear, foundRenamed, documentsByItem }: NonNullable<CorpusReport["decontamination"]>): string {
  const control = `${items} items are searched for, ${tooShort} of them too short to be found. Planted in a text of its own, ${foundInClear} of ${planted} are found in clear and ${foundRenamed} with their variables renamed.`;
  const found = Object.entries(documentsByItem);
  return found.length === 0 ? control : `${control}\n\n${table(["item and rule", "documents"], found.map(([name, count]) => [name, String(count)]))}`;
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [line(headings), line(headings.map(() => "---")), ...rows.map(line)].join("\n");
}
