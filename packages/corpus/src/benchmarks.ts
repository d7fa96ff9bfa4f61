import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { describeSystemError, sha256 } from "@diffucoder/lineage";
import type { CorpusRecipe } from "./config.ts";
import type { BenchmarkItem } from "./contamination.ts";
import { readDataCard } from "./data-card.ts";
import { InvalidCard, SourceCorrupt, SourceDrift, SourceMissing } from "./errors.ts";
import { readWheelMember } from "./sources/wheel-source.ts";

type Benchmark = NonNullable<CorpusRecipe["decontamination"]>["benchmarks"][number];

/** What a benchmark's items say, and the functions that they ask for. */
export async function readBenchmark(benchmark: Benchmark, baseDirectory: string): Promise<BenchmarkItem[]> {
  const { id, fields } = benchmark;
  const name = benchmark.kind === "file" ? benchmark.path : benchmark.member;
  return parseRecords(await contentOf(benchmark, baseDirectory), name).map((record, index) => {
    const corrupt = (problem: string) => new SourceCorrupt({ card: "benchmark", file: name, row: index, problem });
    const textOf = (key: string): string => {
      const value = record[key];
      if (typeof value === "string") return value;
      if (Array.isArray(value)) return value.join("\n");
      throw corrupt(`expected a text ${key}, found ${typeof value}`);
    };
    if (record[id] === undefined) throw corrupt(`expected a key ${id}, found ${Object.keys(record).join(", ")}`);
    const text = fields.map(textOf).join("\n");
    const { entry_point: given } = record;
    const entryPoint = typeof given === "string" ? given : /\bdef\s+(\w+)\s*\(/.exec(text)?.[1];
    return { id: String(record[id]), text, ...(entryPoint === undefined ? {} : { entryPoint }) };
  });
}

function parseRecords(content: Uint8Array, name: string): Record<string, unknown>[] {
  let row = 0;
  try {
    const text = (name.endsWith(".gz") ? gunzipSync(content) : Buffer.from(content)).toString();
    if (text.trimStart().startsWith("[")) return parseJson(text) as Record<string, unknown>[];
    return text.split("\n").flatMap((line) => {
      if (line.trim() === "") return [];
      row++;
      return [parseJson(line) as Record<string, unknown>];
    });
  } catch (cause) {
    throw new SourceCorrupt({ card: "benchmark", file: name, row: Math.max(0, row - 1), problem: `expected JSON, found ${(cause as Error).message}`, cause });
  }
}

/** JSON as Python writes it too: numbers that are none become nulls. */
const parseJson = (text: string): unknown => JSON.parse(text.replaceAll(/"(?:[^"\\]|\\.)*"|-?(?:Infinity|NaN)\b/g, (token) => (token.startsWith('"') ? token : "null")));

async function contentOf(benchmark: Benchmark, baseDirectory: string): Promise<Uint8Array> {
  if (benchmark.kind === "file") {
    const path = resolve(baseDirectory, benchmark.path);
    const content = await readFile(path).catch((error: unknown) => {
      throw new SourceMissing(benchmark.path, `a benchmark at ${path}, found ${describeSystemError(error)}`, "Correct `decontamination.benchmarks` in the recipe.");
    });
    const found = sha256(content);
    if (found !== benchmark.sha256) throw new SourceDrift(benchmark.path, "benchmark", `sha256 ${benchmark.sha256}`, found);
    return content;
  }
  const path = resolve(baseDirectory, benchmark.card);
  const { id, origin } = await readDataCard(path);
  if (origin.kind !== "wheels") throw new InvalidCard(path, `origin.kind: expected wheels for a benchmark, found ${origin.kind}`);
  return readWheelMember(id, origin.wheels[0]!, benchmark.member);
}

/** What the stage key takes of a benchmark. */
export async function benchmarkIdentity(benchmark: Benchmark, baseDirectory: string): Promise<string> {
  return benchmark.kind === "file" ? benchmark.sha256 : (await readDataCard(resolve(baseDirectory, benchmark.card))).sha256;
}
