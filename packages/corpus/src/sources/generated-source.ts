import { sha256 } from "@diffucoder/lineage";
import { generateTasks } from "@diffucoder/tasks";
import type { SourceFile } from "./source-file.ts";

/** Programs of the train split, each under a comment that says what it does. Programs that compute the same are one group. */
export function generateFiles(options: { families: readonly string[]; count: number; seed: number; license: string }): (SourceFile & { readonly bytes: Uint8Array })[] {
  return generateTasks({ ...options, split: "train" }).map(({ id, instruction, solution, checks }) => ({
    path: `${id}.py`,
    bytes: Buffer.from(`# ${instruction}\n${solution}`),
    license: options.license,
    group: sha256(checks.join("\n")),
  }));
}
