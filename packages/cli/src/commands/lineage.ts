import { Command } from "commander";
import { findArtifact, lineageOf, verifyStore, type LineageNode } from "@diffucoder/lineage";
import { EXIT } from "../exit-codes.ts";
import { outputOption, print, say, type OutputFormat } from "../output.ts";
import { projectStore } from "../project.ts";
import { formatDuration } from "../quantities.ts";

export function lineageCommand(): Command {
  return new Command("lineage").description("what made what").addCommand(showCommand()).addCommand(verifyCommand());
}

function showCommand(): Command {
  return new Command("show")
    .description("the history of an artifact, back to source files and data cards")
    .argument("<artifact>", "a name, or the first digits of a digest")
    .addOption(outputOption())
    .action(async (artifact: string, { output }: { output: OutputFormat }) => {
      const store = await projectStore();
      const { digest } = await findArtifact(store, artifact);
      print(output, await lineageOf(store, digest), renderLineage);
    });
}

function verifyCommand(): Command {
  return new Command("verify")
    .description("re-hash every artifact and name each damaged file")
    .addOption(outputOption())
    .action(async ({ output }: { output: OutputFormat }) => {
      const result = await verifyStore(await projectStore());
      print(output, result, ({ artifacts, damaged }) =>
        [
          ...damaged.map(({ artifact, path, expected, found, location }) => `artifact ${artifact.slice(0, 12)}, file ${path}: expected ${expected}, found ${found} (${location})`),
          `${artifacts} artifacts, ${damaged.length} damaged files`,
        ].join("\n"),
      );
      if (result.damaged.length === 0) return;
      say("Delete the damaged files and run the pipeline again: stages whose outputs are damaged are made anew.");
      process.exitCode = EXIT.damaged;
    });
}

/** A tree of runs; an artifact that has been shown above is only named. */
export function renderLineage(root: LineageNode): string {
  const shown = new Set<string>();
  const linesOf = (node: LineageNode, label: string): string[] => {
    const { ref, run } = node;
    const title = `${label}${ref.kind} ${ref.digest.slice(0, 12)}`;
    if (shown.has(ref.digest)) return [`${title} (shown above)`];
    shown.add(ref.digest);
    const children = [
      ...Object.entries(node.inputs).map(([role, input]) => linesOf(input, `${role}: `)),
      ...Object.entries(node.sources).map(([name, digest]) => [`source ${name}  sha256 ${digest.slice(0, 12)}`]),
    ];
    const branches = children.flatMap((lines, index) => {
      const isLast = index === children.length - 1;
      return lines.map((line, row) => (row === 0 ? (isLast ? "└─ " : "├─ ") : isLast ? "   " : "│  ") + line);
    });
    return [title, `  ${describeRun(run)}`, ...branches.map((line) => `  ${line}`)];
  };
  return linesOf(root, "").join("\n");
}

function describeRun({ stage, seed, attempt, finishedFrom }: LineageNode["run"]): string {
  const { packageVersion, commit, numerics, cost } = finishedFrom;
  const machine = numerics.libtensorflow === "none" ? "" : `, ${numerics.dtype} on ${numerics.instructionSet}, ${numerics.threads} threads, libtensorflow ${numerics.libtensorflow}`;
  const code = commit === null ? packageVersion : `${packageVersion} (${commit.slice(0, 10)}${commit.endsWith("+changes") ? ", with changes" : ""})`;
  return `by ${stage} ${code}, seed ${seed}, attempt ${attempt}, ${cost.startedAt}, ${formatDuration(cost.wallMs)}${machine}`;
}
