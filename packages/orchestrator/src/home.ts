import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { makeFolder } from "@diffucoder/lineage";

/** Where everything of one project is kept. */
export interface Home {
  readonly root: string;
  /** Artifacts, records, leases: the only part that cannot be made again. */
  readonly store: string;
  /** The embedded Temporal server: its database, state and log. */
  readonly server: string;
  /** One folder for each run: resolved recipe, stage logs, final status. */
  readonly runs: string;
  /** State and logs of workers. */
  readonly work: string;
  /** Names the store's task queues; kept in the store, so that workers elsewhere agree on it. */
  readonly storeId: string;
}

/** Opens `$DIFFUCODER_HOME`, else `.diffucoder` in the nearest folder with an `nx.json`, else in the current folder. @throws FolderUnusable */
export function openHome(options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {}): Home {
  const { env = process.env, cwd = process.cwd() } = options;
  const root = env.DIFFUCODER_HOME ? resolve(cwd, env.DIFFUCODER_HOME) : join(workspaceRoot(cwd) ?? cwd, ".diffucoder");
  const folder = (name: string): string => {
    const path = join(root, name);
    makeFolder(path);
    return path;
  };
  const store = folder("store");
  return { root, store, server: folder("server"), runs: folder("runs"), work: folder("work"), storeId: storeIdOf(store) };
}

export function stageLogPath(home: Pick<Home, "runs">, runId: string, stage: string): string {
  return join(home.runs, runId, `${stage}.log`);
}

/** The name under which the end of a run records an artifact that the run came to, made or found. */
export function artifactName(runId: string, stage: string, output: string): string {
  return `${stage}.${output}@${runId}`;
}

function workspaceRoot(start: string): string | undefined {
  for (let folder = resolve(start); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "nx.json"))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

function storeIdOf(store: string): string {
  const path = join(store, "id");
  try {
    writeFileSync(path, randomBytes(4).toString("hex"), { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  return readFileSync(path, "utf8");
}
