import { failureFacts } from "@diffucoder/orchestrator";
import { createCommand } from "./command.ts";
import { EXIT } from "./exit-codes.ts";
import { say } from "./output.ts";

// A reader that has seen enough, such as `head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.done);
});

const USAGE: readonly string[] = ["Usage", "InvalidRecipe", "InvalidCard", "FolderTaken", "FolderUnusable"];

try {
  await createCommand().parseAsync();
} catch (error) {
  const { code, message } = failureFacts(error);
  say(`${code}: ${message}`);
  if (code === "Unexpected" && error instanceof Error) say(error.stack ?? "");
  process.exitCode = USAGE.includes(code) ? EXIT.usage : EXIT.failed;
}
// Connections and helper processes may linger; what was asked for is done and written.
process.stdout.write("", () => process.exit());
