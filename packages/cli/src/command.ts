import { readFileSync } from "node:fs";
import { Command } from "commander";
import { analyzeCommand } from "./commands/analyze.ts";
import { exportCommand, gcCommand } from "./commands/artifacts.ts";
import { cardCommand } from "./commands/card.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { evalCommand } from "./commands/eval.ts";
import { explainCommand } from "./commands/explain.ts";
import { generateCommand } from "./commands/generate.ts";
import { lineageCommand } from "./commands/lineage.ts";
import { operatorCommands } from "./commands/operate.ts";
import { runCommand } from "./commands/run.ts";
import { logsCommand, runsCommand, statusCommand } from "./commands/runs.ts";
import { serverCommand, workerCommand } from "./commands/server.ts";
import { shardsCommand } from "./commands/shards.ts";
import { takedownCommand } from "./commands/takedown.ts";
import { whyCommand } from "./commands/why.ts";
import { EXIT } from "./exit-codes.ts";

const HELP_END = `
An artifact goes by a name, STAGE.OUTPUT@RUN such as evaluation.report@tiny-0bfe55, or by the first six or more digits
of its digest. Everything is kept in .diffucoder of the checkout, or where DIFFUCODER_HOME points.`;

/** The `diffucoder` command with all its verbs; parse the command line with it. */
export function createCommand(): Command {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  const command = new Command("diffucoder").description("DiffuCoder as a pipeline: run it, resume it, audit it").version(version).showHelpAfterError("(--help tells more)");
  const groups = {
    "Runs:": [runCommand(), statusCommand(), runsCommand(), logsCommand(), ...operatorCommands()],
    "What made what:": [explainCommand(), whyCommand(), lineageCommand(), takedownCommand()],
    "What was made:": [exportCommand(), shardsCommand(), cardCommand(), generateCommand(), evalCommand(), analyzeCommand()],
    "The machine:": [doctorCommand(), serverCommand(), workerCommand(), gcCommand()],
  };
  const verbs = Object.values(groups).flat();
  for (const [heading, group] of Object.entries(groups)) for (const verb of group) command.addCommand(verb.helpGroup(heading));
  command.addHelpText("after", HELP_END);
  for (const each of [command, ...verbs, ...verbs.flatMap((verb) => verb.commands)]) {
    // Commander's own code for a wrong command line is 1, which here says that something failed.
    each.exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.done : EXIT.usage));
  }
  return command;
}
