import { readDataCard } from "@diffucoder/corpus";
import { croissantOf } from "@diffucoder/formats";
import { findArtifact } from "@diffucoder/lineage";
import { Command } from "commander";
import { checkedSource, describeCorpus, type Publication } from "../describe-corpus.ts";
import { repeatable, repeatableRequired } from "../options.ts";
import { print } from "../output.ts";
import { projectStore } from "../project.ts";
import { renderDataCard } from "../render-data-card.ts";

export function cardCommand(): Command {
  return new Command("card").description("describe sources and corpora to others").addCommand(markdownCommand()).addCommand(croissantCommand());
}

function markdownCommand(): Command {
  return new Command("markdown")
    .description("a data card as Markdown; with --corpus also what was found in the source when the card was checked against it")
    .argument("<card>", "its file")
    .option("--corpus <documents>", "the artifact whose run checked it: a name, or the first digits of a digest")
    .action(async (path: string, { corpus }: { corpus?: string }) => {
      const card = await readDataCard(path);
      if (corpus === undefined) return print("text", card, (each) => renderDataCard(each));
      const store = await projectStore();
      const checked = await checkedSource(store, await findArtifact(store, corpus), card);
      print("text", card, (each) => renderDataCard(each, checked));
    });
}

interface CroissantOptions {
  readonly card: readonly string[];
  readonly name: string;
  readonly url: string;
  readonly creator: readonly string[];
  readonly release: string;
}

function croissantCommand(): Command {
  return new Command("croissant")
    .description("print Croissant JSON-LD for a corpus, to lie beside its exported files")
    .argument("<documents>", "the artifact's name, or the first digits of its digest")
    .addOption(repeatable("--card <file>", "data card of a source, once for each"))
    .requiredOption("--name <name>", "of the data set")
    .requiredOption("--url <url>", "where it is published")
    .addOption(repeatableRequired("--creator <name>", "who publishes it"))
    .option("--release <version>", "semantic version", "1.0.0")
    .action(async (artifact: string, { card, name, url, creator, release }: CroissantOptions) => {
      const publication: Publication = { name, url, version: release, creators: creator };
      const store = await projectStore();
      const description = await describeCorpus(store, await findArtifact(store, artifact), await Promise.all(card.map(readDataCard)), publication);
      print("json", croissantOf(description), String);
    });
}
