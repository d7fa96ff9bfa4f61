import { readFile } from "node:fs/promises";
import { checkShards, describeShards, parseShardManifest, readShardRows, SHARD_MANIFEST, type ShardCheck, type ShardCount, type ShardStatistics } from "@diffucoder/formats";
import { Tokenizer } from "@diffucoder/tokenizer";
import { Command } from "commander";
import { EXIT } from "../exit-codes.ts";
import { outputOption, print, say, table, type OutputFormat } from "../output.ts";
import { projectStore, UsageError } from "../project.ts";
import { formatBytes } from "../quantities.ts";
import { findShards, type ShardTarget } from "../shard-target.ts";

export function shardsCommand(): Command {
  return new Command("shards").description("token shards: whether they are sound, what is in them").addCommand(verifyCommand()).addCommand(statCommand()).addCommand(headCommand());
}

const TARGET = ["<shards>", "a folder, or an artifact's name or first digits"] as const;

function verifyCommand(): Command {
  return new Command("verify")
    .description("read every byte: sizes, digests, counts and the Merkle root")
    .argument(...TARGET)
    .addOption(outputOption())
    .action(async (target: string, { output }: { output: OutputFormat }) => {
      const checks: ({ split: string } & ShardCheck)[] = [];
      for (const { split, fileOf } of (await findShards(target, projectStore)).sets) checks.push({ split, ...(await checkShards(fileOf)) });
      print(output, checks, (all) => all.map(renderCheck).join("\n"));
      if (checks.every(({ damaged }) => damaged.length === 0)) return;
      say("Delete what is damaged and run the tokenize stage again.");
      process.exitCode = EXIT.damaged;
    });
}

function renderCheck({ split, shards, documents, tokens, root, damaged }: { split: string } & ShardCheck): string {
  const verdict = damaged.length === 0 ? `sound, root ${root}` : `${damaged.length} damaged files`;
  return [...damaged.map(({ file, problem }) => `${labelOf(split)}${file}: ${problem}`), `${labelOf(split)}${shards} shards, ${documents} documents, ${tokens} tokens: ${verdict}`].join("\n");
}

const labelOf = (split: string): string => (split === "" ? "" : `${split} `);

function statCommand(): Command {
  return new Command("stat")
    .description("documents and tokens, by source and language")
    .argument(...TARGET)
    .addOption(outputOption())
    .action(async (target: string, { output }: { output: OutputFormat }) => {
      const statistics: ({ split: string } & ShardStatistics)[] = [];
      for (const { split, fileOf } of (await findShards(target, projectStore)).sets) statistics.push({ split, ...(await describeShards(fileOf)) });
      print(output, statistics, (all) => all.map(renderStatistics).join("\n\n"));
    });
}

function renderStatistics({ split, shards, bytes, vocabSize, root, tokenizerSha256, bySource, byLanguage, lengths, ...all }: { split: string } & ShardStatistics): string {
  const rowsOf = (counts: Readonly<Record<string, ShardCount>>) => Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => rowOf(name, count));
  return [
    `${labelOf(split)}${shards} shards, ${formatBytes(bytes)}, vocabulary ${vocabSize}`,
    `root ${root}`,
    `tokenizer ${tokenizerSha256}`,
    `tokens a document: ${lengths[0]} to ${lengths[4]}, quartiles ${lengths.slice(1, 4).join(", ")}`,
    table(["source or language", "documents", "different", "tokens"], [...rowsOf(bySource), ...rowsOf(byLanguage), rowOf("all", all)]),
  ].join("\n");
}

const rowOf = (name: string, { documents, distinct, tokens }: ShardCount): string[] => [name, String(documents), String(distinct), String(tokens)];

interface HeadOptions {
  readonly documents: string;
  readonly split?: string;
  readonly output: OutputFormat;
}

function headCommand(): Command {
  return new Command("head")
    .description("the first documents, decoded where a tokenizer lies beside")
    .argument(...TARGET)
    .option("-n, --documents <count>", "how many", "3")
    .option("--split <split>", "train or validation; the first there is unless given")
    .addOption(outputOption())
    .action(async (target: string, { documents, split, output }: HeadOptions) => {
      if (!/^[1-9]\d*$/.test(documents)) throw new UsageError(`--documents: expected a whole number above 0, found ${documents}`);
      const { sets, tokenizer } = await findShards(target, projectStore);
      const set = split === undefined ? sets[0]! : sets.find((each) => each.split === split);
      if (set === undefined) throw new UsageError(`--split: expected one of ${sets.map((each) => each.split).join(", ")}, found ${split}`);
      const decoder = tokenizer === undefined ? undefined : Tokenizer.fromJson(await readFile(tokenizer, "utf8"));
      const rows: HeadRow[] = [];
      for await (const { tokens, ...row } of firstRows(set, Number(documents))) rows.push({ ...row, tokens: [...tokens], ...(decoder === undefined ? {} : { text: decoder.decode(tokens) }) });
      print(output, rows, (all) => all.map(renderRow).join("\n\n"));
    });
}

interface HeadRow {
  readonly docId: string;
  readonly source: string;
  readonly language: string;
  readonly tokens: readonly number[];
  readonly text?: string;
}

async function* firstRows({ fileOf }: ShardTarget, count: number) {
  const path = await fileOf(SHARD_MANIFEST);
  let left = count;
  for (const shard of parseShardManifest(await readFile(path, "utf8"), path).shards) {
    for await (const row of readShardRows(await fileOf(shard.path))) {
      if (left-- === 0) return;
      yield row;
    }
  }
}

function renderRow({ docId, source, language, tokens, text }: HeadRow): string {
  return [`${docId}  ${source}  ${language}  ${tokens.length} tokens`, text ?? tokens.slice(0, MOST_TOKENS).join(" ")].join("\n");
}

const MOST_TOKENS = 32;
