import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openStore, runStage, type ArtifactRef, type JsonObject, type Store } from "@diffucoder/lineage";
import {
  attach,
  liveWorkers,
  loadRegistry,
  openHome,
  openSession,
  PORTABLE_NUMERICS,
  readPipeline,
  serverDown,
  startPipeline,
  stageLogPath,
  type Home,
  type PipelineStatus,
  type Session,
  type StageStatus,
} from "../index.ts";
import { isOurs } from "../process-state.ts";

/** A module of quick stages, for `DIFFUCODER_STAGES`. */
export const TEST_STAGES = fileURLToPath(new URL("./stages.ts", import.meta.url));

// Quick to notice a fault; the wait for a first sign of life is long, since Node may start slowly on a busy machine.
const RETRY = { attempts: 4, delayMs: 50, heartbeatMs: 5000, stallMs: 20_000, graceMs: 5000 };

/** A project of its own in a temporary folder, with server and worker. */
export class TestHome {
  readonly home: Home;
  readonly session: Session;
  readonly faults: string;
  readonly store: Store;

  /** @param stages module of its stages; null for the pipeline's own */
  static async open(stages: string | null = TEST_STAGES): Promise<TestHome> {
    if (stages === null) delete process.env.DIFFUCODER_STAGES;
    else process.env.DIFFUCODER_STAGES = stages;
    const home = openHome({ env: { DIFFUCODER_HOME: mkdtempSync(join(tmpdir(), "orchestrator-")) } });
    return new TestHome(home, await openSession(home), await openStore(home.store));
  }

  constructor(home: Home, session: Session, store: Store) {
    this.home = home;
    this.session = session;
    this.store = store;
    this.faults = join(home.root, "faults");
    mkdirSync(this.faults);
  }

  async close(): Promise<void> {
    await this.session.close();
    await serverDown(this.home);
    rmSync(this.home.root, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Starts numbers -> fold, and -> again (a second fold of the first one's checkpoint) when asked. */
  async start(options: { seed: number; recipe?: JsonObject; execution?: JsonObject; retry?: Partial<typeof RETRY>; again?: boolean; numerics?: string }): Promise<string> {
    const fold = { uses: "fold", inputs: { documents: "numbers.documents" }, retry: { ...RETRY, ...options.retry } };
    const stages = [
      { id: "numbers", uses: "numbers", retry: RETRY },
      { id: "fold", ...fold, recipe: options.recipe ?? {}, execution: options.execution ?? {} },
      ...(options.again === true ? [{ id: "again", ...fold, inputs: { ...fold.inputs, checkpoint: "fold.checkpoint" } }] : []),
    ];
    return this.startStages("folding", stages, options);
  }

  /** Starts a pipeline of one stage. */
  startOne(uses: string, options: { seed: number; recipe?: JsonObject; execution?: JsonObject }): Promise<string> {
    const { recipe = {}, execution = {} } = options;
    return this.startStages(uses, [{ id: uses, uses, recipe, execution, retry: RETRY }], options);
  }

  private async startStages(name: string, stages: readonly object[], { seed, numerics = "auto" }: { seed: number; numerics?: string }): Promise<string> {
    const file = join(this.home.root, `${name}-${randomUUID()}.yaml`);
    writeFileSync(file, JSON.stringify({ name, seed, numerics, stages })); // JSON is YAML
    return startPipeline(this.session, await readPipeline(file, await loadRegistry()), file);
  }

  /** Follows a run until a status holds. */
  async until(runId: string, holds: (status: PipelineStatus, stage: (id: string) => StageStatus) => boolean): Promise<PipelineStatus> {
    for await (const status of attach(this.session, runId, { intervalMs: 50 })) {
      if (holds(status, (id) => status.stages.find((stage) => stage.id === id)!)) return status;
    }
    throw new Error(`run ${runId}: ended before the awaited state: ${this.log(runId, "fold")}`);
  }

  end(runId: string): Promise<PipelineStatus> {
    return this.until(runId, ({ state }) => state !== "running" && state !== "paused");
  }

  log(runId: string, stage: string): string {
    const path = stageLogPath(this.home, runId, stage);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** A file for a stage's `execution.hold`; the stage waits until it is released, however busy the machine. */
  hold(): { readonly path: string; readonly release: () => void } {
    const path = join(this.faults, `hold-${randomUUID()}`);
    writeFileSync(path, "");
    return { path, release: () => rmSync(path, { force: true }) };
  }

  worker(): number {
    return liveWorkers(this.home)[0]!.pid;
  }

  /** Process of the stage that is at work. */
  async stageProcess(): Promise<number> {
    for (;;) {
      const [found] = this.stageProcesses();
      if (found !== undefined) return found;
      await sleep(20);
    }
  }

  /** Processes of stages and parts that are at work on the first worker. */
  stageProcesses(): number[] {
    const worker = this.worker();
    const children = readFileSync(`/proc/${worker}/task/${worker}/children`, "utf8").split(" ").filter((pid) => pid.trim() !== "").map(Number);
    return children.filter((pid) => isOurs(pid, "stage-process"));
  }
}

/** What an undisturbed run gives, made in another store and without a server. */
export async function undisturbed(seed: number, recipe: JsonObject): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), "undisturbed-"));
  try {
    const store = await openStore(root);
    const registry = await loadRegistry(TEST_STAGES);
    const run = async (uses: string, settings: JsonObject, inputs: Record<string, ArtifactRef>) => {
      const request = { recipe: settings, execution: {}, inputs, seed, baseDirectory: root };
      const signal = new AbortController().signal;
      return (await runStage({ store, definition: await registry.stage(uses), request, numerics: PORTABLE_NUMERICS, signal, now: Date.now })).outputs;
    };
    const { documents } = await run("numbers", {}, {});
    const { checkpoint } = await run("fold", recipe, { documents: documents! });
    return checkpoint!.digest;
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

export function stageOf(status: PipelineStatus, id: string): StageStatus {
  return status.stages.find((stage) => stage.id === id)!;
}
