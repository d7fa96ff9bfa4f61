import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command } from "commander";
import type { Analysis, EvaluationSource } from "@diffucoder/evaluation";
import { findArtifact, type ArtifactRef, type Store } from "@diffucoder/lineage";
import { outputOption, print, say, table, type OutputFormat } from "../output.ts";
import { projectStore, UsageError } from "../project.ts";
import { formatShare } from "../quantities.ts";

export function analyzeCommand(): Command {
  return new Command("analyze")
    .description("how checkpoints decode: AR-ness, entropy sink, order of tokens, temperature, steps; as one HTML page")
    .argument("<report...>", "runs, report artifacts by name or first digits of the digest, or folders they were exported to")
    .option("--out <file>", "the page", "analysis.html")
    .addOption(outputOption())
    .action(async (names: string[], { out, output }: { out: string; output: OutputFormat }) => {
      const { analyzeEvaluations, drawAnalysis } = await import("@diffucoder/evaluation");
      const analysis = await analyzeEvaluations(await findEvaluations([...new Set(names)]));
      await writeFile(out, await drawAnalysis(analysis));
      print(output, analysis, renderAnalysis);
      say(`page: ${resolve(out)}`);
    });
}

/** @throws ArtifactMissing, UsageError */
async function findEvaluations(names: readonly string[]): Promise<EvaluationSource[]> {
  const sources: EvaluationSource[] = [];
  let store: Store | undefined;
  for (const name of names) {
    if (existsSync(join(name, "report.json"))) {
      sources.push({ name, reportPath: join(name, "report.json"), samplesPath: join(name, "samples.jsonl") });
      continue;
    }
    store ??= await projectStore();
    for (const [label, ref] of await reportsOf(store, name)) {
      sources.push({ name: label, reportPath: await store.artifacts.file(ref, "report.json"), samplesPath: await store.artifacts.file(ref, "samples.jsonl") });
    }
  }
  return sources;
}

/** All reports of a run, or the one artifact of that name or digest. */
async function reportsOf(store: Store, name: string): Promise<[label: string, ref: ArtifactRef][]> {
  const ofRun = (await store.names.list()).filter((named) => named.ref.kind === "report" && named.name.endsWith(`@${name}`));
  if (ofRun.length > 0) return ofRun.map((named) => [named.name, named.ref]);
  const ref = await findArtifact(store, name);
  if (ref.kind !== "report") throw new UsageError(`${name}: expected the report of an evaluation, found a ${ref.kind} artifact`);
  return [[name, ref]];
}

/** The main figures, at k = 1 and the lowest temperature; the page has the others. */
export function renderAnalysis({ series, changes, stepsStudies }: Analysis): string {
  const rows = series.map(({ benchmark, name, decoding, orders, temperatures: [lowest] }) => {
    const [atOne] = orders?.arness.window ?? [];
    const pass1 = lowest?.passAtK[0];
    return [benchmark, name, String(decoding.steps), pass1 === undefined ? "-" : formatShare(pass1.mean), atOne === undefined ? "-" : atOne.strict.mean.toFixed(3), atOne === undefined ? "-" : atOne.global.mean.toFixed(3)];
  });
  const clear = changes.filter(({ interval: [lower, upper] }) => lower > 0 || upper < 0).length;
  const notes = [
    ...(changes.length === 0 ? [] : [`${clear} of ${changes.length} differences between candidates and baselines are clear of zero`]),
    ...(stepsStudies.length === 0 ? ["no checkpoint was decoded in several numbers of steps, so there is no study of them"] : []),
  ];
  return [table(["benchmark", "checkpoint", "steps", "pass@1", "local AR-ness", "global AR-ness"], rows), ...notes].join("\n");
}
