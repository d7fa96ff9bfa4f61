import { readTable, tablePath } from "../attribute-table.ts";
import { ContaminationIndex, plantItems, type BenchmarkItem, type PositiveControl } from "../contamination.ts";
import type { Policy } from "../policy.ts";
import type { Waived } from "../waivers.ts";
import type { Amount, CorpusFlow, StageFlow } from "./corpus-flow.ts";
import { sweepQuality, sweepSimilarity, type Sweep } from "./threshold-sweep.ts";

/** What happened to the files of a run; equal runs give equal reports. */
export interface CorpusReport {
  readonly files: Amount;
  readonly kept: Amount;
  readonly stages: readonly StageFlow[];
  readonly bySource: Readonly<Record<string, { readonly all: Amount; readonly kept: Amount; readonly stages: readonly StageFlow[] }>>;
  readonly byLanguage: Readonly<Record<string, { readonly all: Amount; readonly kept: Amount; readonly stages: readonly StageFlow[] }>>;
  readonly examples: CorpusFlow["examples"];
  readonly sweeps: readonly Sweep[];
  /** Spans found, by kind and rule. */
  readonly personalData: Readonly<Record<string, number>>;
  /** Documents that begin with one; null where they were not looked for. */
  readonly copyrightHeaders: number | null;
  readonly decontamination: (PositiveControl & { readonly items: number; readonly tooShort: number; readonly documentsByItem: Readonly<Record<string, number>> }) | null;
  readonly waivers: readonly Waived[];
}

export async function buildReport(options: {
  readonly flow: CorpusFlow;
  readonly tables: string;
  readonly policy: Policy;
  readonly benchmarkItems: readonly BenchmarkItem[];
  readonly waivers: readonly Waived[];
}): Promise<CorpusReport> {
  const { flow, tables, policy, benchmarkItems, waivers } = options;
  const accounts = (of: CorpusFlow["bySource"]) => Object.fromEntries([...of].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, account]) => [name, { all: account.all, kept: account.kept, stages: account.stages() }]));
  return {
    files: flow.total.all,
    kept: flow.total.kept,
    stages: flow.total.stages(),
    bySource: accounts(flow.bySource),
    byLanguage: accounts(flow.byLanguage),
    examples: flow.examples,
    sweeps: [...(await sweepSimilarity(tables, policy)), ...(await sweepQuality(tables, policy))],
    personalData: policy.personalData === undefined ? {} : await countRows(tables, "personal-data", ({ kind, rule }) => `${kind} ${rule}`),
    copyrightHeaders: policy.copyrightHeaders === undefined ? null : ((await countRows(tables, "copyright-headers", () => "all")).all ?? 0),
    decontamination: await describeDecontamination(tables, policy, benchmarkItems),
    waivers,
  };
}

async function countRows(tables: string, table: string, nameOf: (row: Readonly<Record<string, unknown>>) => string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for await (const row of readTable(tablePath(tables, table))) counts[nameOf(row)] = (counts[nameOf(row)] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function describeDecontamination(tables: string, { decontamination }: Policy, items: readonly BenchmarkItem[]): Promise<CorpusReport["decontamination"]> {
  if (decontamination === undefined) return null;
  const index = new ContaminationIndex(items, decontamination.words);
  const documentsByItem = await countRows(tables, "contamination", ({ rule, item }) => `${item} ${rule}`);
  return { items: items.length, tooShort: index.tooShort.length, ...plantItems(index, items), documentsByItem };
}
