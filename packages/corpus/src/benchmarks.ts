import { readFile, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import { readHumanEval } from "@diffucoder/tasks";
import type { CorpusRecipe } from "./config.ts";
import type { BenchmarkItem } from "./contamination.ts";
import { readDataCard } from "./data-card.ts";
import { InvalidCard, SourceDrift, SourceMissing } from "./errors.ts";
import { readWheelMember } from "./wheel-source.ts";

type Benchmark = NonNullable<CorpusRecipe["decontamination"]>["benchmarks"][number];

/** Prompts and solutions of a benchmark. */
export async function readBenchmark(benchmark: Benchmark, baseDirectory: string, scratchDir: string): Promise<BenchmarkItem[]> {
  const tasks = await readHumanEval(await locate(benchmark, baseDirectory, scratchDir));
  return tasks.map(({ id, prompt, solution }) => ({ id, text: prompt + solution }));
}

async function locate(benchmark: Benchmark, baseDirectory: string, scratchDir: string): Promise<string> {
  if (benchmark.kind === "file") {
    const path = resolve(baseDirectory, benchmark.path);
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      throw new SourceMissing(benchmark.path, `a benchmark at ${path}, found ${error.code}`, "Correct `decontamination.benchmarks` in the recipe.");
    });
    const found = sha256(content);
    if (found !== benchmark.sha256) throw new SourceDrift(benchmark.path, "benchmark", `sha256 ${benchmark.sha256}`, found);
    return path;
  }
  const path = resolve(baseDirectory, benchmark.card);
  const { id, origin } = await readDataCard(path);
  if (origin.kind !== "wheels") throw new InvalidCard(path, `origin.kind: expected wheels for a benchmark, found ${origin.kind}`);
  const copy = join(scratchDir, basename(benchmark.member));
  await writeFile(copy, await readWheelMember(id, origin.wheels[0]!, benchmark.member));
  return copy;
}

/** What the stage key takes of a benchmark. */
export async function benchmarkIdentity(benchmark: Benchmark, baseDirectory: string): Promise<string> {
  return benchmark.kind === "file" ? benchmark.sha256 : (await readDataCard(resolve(baseDirectory, benchmark.card))).sha256;
}
