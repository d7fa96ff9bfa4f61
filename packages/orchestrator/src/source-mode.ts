import { fileURLToPath } from "node:url";

/** Whether the TypeScript sources run as they are (a checkout), not what was compiled from them (an installed package). */
export const runsFromSource = import.meta.url.endsWith(".ts");

/** The condition under which workspace packages resolve to their sources. */
export const SOURCE_CONDITION = "@diffucoder/source";

/** Path of a sibling module of this one, such as `workflows/index`. */
export function siblingModule(name: string): string {
  return fileURLToPath(new URL(`./${name}${runsFromSource ? ".ts" : ".js"}`, import.meta.url));
}

/** Arguments for Node that run a sibling module in the mode that this process runs in. */
export function nodeArguments(module: string): string[] {
  return [...(runsFromSource ? [`--conditions=${SOURCE_CONDITION}`] : []), "--disable-warning=ExperimentalWarning", "--disable-warning=DEP0044", siblingModule(module)];
}
