import { Command } from "commander";
import { explainDocument, type CorpusFile, type Explanation, type FiredRule, type Margin } from "@diffucoder/corpus";
import { findArtifact, type ArtifactRef, type Store } from "@diffucoder/lineage";
import { artifactName, openHome, type Home } from "@diffucoder/orchestrator";
import { outputOption, print, table, type OutputFormat } from "../output.ts";
import { chooseRun, projectStore, UsageError } from "../project.ts";
import { RUN_OPTION } from "./runs.ts";

export function whyCommand(): Command {
  return new Command("why")
    .description("what happened to a file of the corpus: kept or dropped, by which rule, and where its tokens went")
    .argument("<document>", "the first digits of a document's id, or a path of a source, or the end of one")
    .option(...RUN_OPTION)
    .option("--corpus <artifact>", "ask about these documents in place of a run's: a name, or the first digits of a digest")
    .addOption(outputOption())
    .action(async (query: string, { run, corpus, output }: { run?: string; corpus?: string; output: OutputFormat }) => {
      const home = openHome();
      const store = await projectStore(home);
      const ref = corpus === undefined ? await corpusOfRun(home, store, run) : await findArtifact(store, corpus);
      if (ref.kind !== "documents") throw new UsageError(`--corpus ${corpus}: expected documents, found a ${ref.kind} artifact`);
      print(output, await explainDocument(store, ref, query), renderExplanation);
    });
}

async function corpusOfRun(home: Home, store: Store, run: string | undefined): Promise<ArtifactRef> {
  const { runId, pipeline } = await chooseRun(home, run);
  for (const { id, uses } of pipeline.stages) {
    const ref = uses === "corpus" ? await store.names.resolve(artifactName(runId, id, "documents")) : undefined;
    if (ref !== undefined) return ref;
  }
  throw new UsageError(`run ${runId}: expected a corpus that is finished, found none. \`--corpus\` asks about another.`);
}

/** One screen. */
export function renderExplanation(explanation: Explanation): string {
  switch (explanation.kind) {
    case "several":
      return [
        `${explanation.documents.length} files of several texts; ask again with a document's id`,
        "",
        table(["document", "file", "fate"], explanation.documents.slice(0, MOST_ROWS).map(({ docId, file, droppedBy }) => [docId.slice(0, 12) || "-", describeFile(file), droppedBy ?? "kept"])),
        ...more(explanation.documents.length - MOST_ROWS, "files"),
      ].join("\n");
    case "unread":
      return `${describeFile(explanation.file)}\ndropped at decode: ${explanation.file.reason}`;
    case "document":
      return renderDocument(explanation);
  }
}

const MOST_ROWS = 15;
const MOST_LINES = 5;

function renderDocument({ docId, files, isKept, fired, language, licence, alike, margins, personalData, tokens }: Extract<Explanation, { kind: "document" }>): string {
  const decisive = fired.find((rule) => rule.isDecisive);
  const others = fired.filter((rule) => !rule.isDecisive);
  const found = Object.entries(personalData);
  return [
    `document ${docId}  ${language}  ${licence}`,
    ...files.slice(0, MOST_LINES).map((file, index) => `  ${describeFile(file)}${index === 0 ? "" : ", of equal text"}`),
    ...more(files.length - MOST_LINES, "files of equal text"),
    decisive === undefined ? "kept" : `dropped at ${describeRule(decisive)}`,
    ...section("would be dropped by other rules too:", others.map(describeRule)),
    ...section(isKept ? "signals nearest to their bounds:" : "signals nearest to or beyond their bounds:", margins.map(describeMargin)),
    ...section("like documents:", alike.map(({ docId: other, path, similarity }) => `${figure(similarity)}  ${path} (${other.slice(0, 12)})`)),
    ...section("personal data and secrets:", found.map(([kind, count]) => `${count} ${kind}`)),
    ...section("tokens:", tokens.map((use) => `${use.tokens} in shards ${use.shards.slice(0, 12)}, ${use.split}${use.times === 1 ? "" : `, ${use.times} times`}; read by ${use.readBy.join(", ") || "no stage yet"}`)),
    ...(isKept && tokens.length === 0 ? ["tokens: none; no tokenizing of this corpus has used it"] : []),
  ].join("\n");
}

const describeFile = ({ source, path, repository, commit }: CorpusFile): string => `${path} of ${source}${repository === undefined ? "" : `, ${repository}${commit === undefined ? "" : ` at ${commit.slice(0, 12)}`}`}`;

function describeRule({ stage, reason, rule, value, least, most, of }: FiredRule): string {
  const name = rule === undefined ? reason : `${reason} ${rule}`;
  return [`${stage}: ${name}`, ...(value === undefined ? [] : [`value ${figure(value)}, ${describeBounds(least, most)}`]), ...(of === undefined ? [] : [reason === "near-duplicate" ? `in favour of ${of}` : of])].join(", ");
}

const describeMargin = ({ signal, value, least, most }: Margin): string => `${signal}  ${figure(value)}, ${describeBounds(least, most)}`;

function describeBounds(least: number | undefined, most: number | undefined): string {
  return [...(least === undefined ? [] : [`at least ${least}`]), ...(most === undefined ? [] : [`at most ${most}`])].join(" and ");
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return [title, ...lines.slice(0, MOST_LINES).map((line) => `  ${line}`), ...more(lines.length - MOST_LINES, "more")];
}

const more = (count: number, what: string): string[] => (count > 0 ? [`  and ${count} ${what}`] : []);
const figure = (value: number): string => String(Number(value.toPrecision(4)));
