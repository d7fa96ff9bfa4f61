import { readDataCard } from "@diffucoder/corpus";
import { croissantOf } from "@diffucoder/formats";
import { findArtifact } from "@diffucoder/lineage";
import { Command } from "commander";
import { describeCorpus, type Publication } from "../describe-corpus.ts";
import { print } from "../output.ts";
import { projectStore, UsageError } from "../project.ts";
import { renderDataCard } from "../render-data-card.ts";

export function cardCommand(): Command {
  return new Command("card").description("describe sources and corpora to others").addCommand(markdownCommand()).addCommand(croissantCommand());
}

function markdownCommand(): Command {
  return new Command("markdown")
    .description("check a data card and print it as Markdown")
    .argument("<card>", "its file")
    .action(async (path: string) => print("text", await readDataCard(path), renderDataCard));
}

interface CroissantOptions {
  readonly card: readonly string[];
  readonly name: string;
  readonly url: string;
  readonly creator: readonly string[];
  readonly release: string;
}

function croissantCommand(): Command {
  const collect = (value: string, values: readonly string[]) => [...values, value];
  return new Command("croissant")
    .description("print Croissant JSON-LD for a corpus, to lie beside its exported files")
    .argument("<documents>", "the artifact's name, or the first digits of its digest")
    .option("--card <file>", "data card of a source; once for each source", collect, [])
    .requiredOption("--name <name>")
    .requiredOption("--url <url>", "where it is published")
    .option("--creator <name>", "who publishes it; may be given again", collect, [])
    .option("--release <version>", "semantic version", "1.0.0")
    .action(async (artifact: string, { card, name, url, creator, release }: CroissantOptions) => {
      if (creator.length === 0) throw new UsageError("--creator: expected at least one, found none");
      const publication: Publication = { name, url, version: release, creators: creator };
      const store = await projectStore();
      const description = await describeCorpus(store, await findArtifact(store, artifact), await Promise.all(card.map(readDataCard)), publication);
      print("json", croissantOf(description), String);
    });
}
