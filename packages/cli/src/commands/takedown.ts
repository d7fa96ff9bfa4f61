import { Command } from "commander";
import { outputOption, print, say, table, type OutputFormat } from "../output.ts";
import { projectStore, UsageError } from "../project.ts";
import type { AffectedRun, DocumentTrace } from "../trace-document.ts";

export function takedownCommand(): Command {
  return new Command("takedown")
    .description("every shard, run and checkpoint that holds a document or was made from it; changes nothing")
    .argument("<document>", "its id, the first digits of it, or the path of a file that holds it within its source")
    .addOption(outputOption())
    .action(async (document: string, { output }: { output: OutputFormat }) => {
      // Loads the computing backend, which most commands do without.
      const { traceDocument } = await import("../trace-document.ts");
      const trace = await traceDocument(await projectStore(), document);
      if (trace.documents.length + trace.dropped.length + trace.shards.length === 0) {
        throw new UsageError(`document ${document}: expected one of a corpus in the store, found none. \`diffucoder why PATH\` finds files by the ends of their paths.`);
      }
      print(output, trace, renderTrace);
      if (trace.runs.some(({ isProved }) => isProved === false)) say("A ledger does not fit the recomputed steps: run `diffucoder lineage verify`.");
    });
}

export function renderTrace({ documents, dropped, shards, runs, names }: DocumentTrace): string {
  const section = (title: string, headings: readonly string[], rows: readonly (readonly string[])[]) => (rows.length === 0 ? `${title}: none` : `${title}\n${table(headings, rows)}`);
  return [
    section("in documents", ["artifact", "id", "source", "path", "licence"], documents.map((each) => [short(each.artifact), each.docId, each.source, each.path, each.license])),
    ...(dropped.length === 0 ? [] : [section("read, and dropped", ["artifact", "id", "source", "path", "by"], dropped.map((each) => [short(each.artifact), each.docId || "-", each.source, each.path, each.by]))]),
    section("in shards", ["artifact", "file", "row", "tokens"], shards.map((each) => [short(each.artifact), `${each.split}/${each.shard}`, String(each.row), String(each.tokens)])),
    section("runs", ["key", "stage", "", "steps that trained on it", "outputs"], runs.map((run) => [short(run.key), run.stage, run.relation, describeSteps(run), describeOutputs(run)])),
    section("names", ["name", "artifact"], names.map(({ name, digest }) => [name, short(digest)])),
  ].join("\n\n");
}

const short = (digest: string): string => digest.slice(0, 12);

function describeSteps({ steps, isProved }: AffectedRun): string {
  if (steps === undefined) return "-";
  if (steps.length === 0) return "none";
  return `${steps.length}, from step ${steps[0]} to ${steps.at(-1)}, ${isProved === true ? "as the ledger proves" : "NOT as the ledger says"}`;
}

function describeOutputs({ outputs, checkpoints }: AffectedRun): string {
  return [...Object.entries(outputs).map(([role, digest]) => `${role} ${short(digest)}`), ...checkpoints.map(({ digest, step }) => `step ${step} ${short(digest)}`)].join(", ");
}
