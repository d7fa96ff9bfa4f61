import { failureFacts, type FailureFacts } from "@diffucoder/orchestrator";
import { createCommand } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import { say } from "./output.ts";

// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.done);
});

const USAGE: readonly string[] = ["Usage", "InvalidRecipe", "InvalidCard", "FolderTaken", "FolderUnusable", "FileUnusable"];

try {
  await createCommand().parseAsync();
} catch (error) {
  const facts = failureFacts(error);
  say(renderFailure(facts));
  if (facts.code === "Unexpected" && error instanceof Error) say(`This is a fault of diffucoder; please report it with what follows.\n${error.stack}`);
  process.exitCode = USAGE.includes(facts.code) ? EXIT.usage : EXIT.failed;
}

/** Several problems of a recipe or card stand below each other. */
function renderFailure({ code, message, details }: FailureFacts): string {
  const { subject, problems } = details;
  if (!Array.isArray(problems) || problems.length < 2) return `${code}: ${message}`;
  return `${code}: ${String(subject)}: ${problems.length} problems\n${problems.map((problem) => `  ${String(problem)}`).join("\n")}`;
}

// Connections and helper processes may linger; what was asked for is done and written.
process.stdout.write("", () => process.exit());
