import type { PipelineStatus, StageState, StageStatus } from "@diffucoder/orchestrator";
import { DefaultRenderer, Listr, ListrLogger, ProcessOutput, type ListrTaskWrapper, type SimpleRenderer } from "listr2";
import { StageLines } from "./stage-line.ts";

/** Shows a run as it goes on. */
export interface ProgressView {
  update(status: PipelineStatus): void;
  /** Leaves what was shown last on the terminal. */
  close(): Promise<void>;
}

/** A list that redraws itself on a terminal, plain lines elsewhere; on standard error, since results go to standard output. */
export function createProgressView(stream: NodeJS.WriteStream = process.stderr): ProgressView {
  const canRedraw = stream.isTTY && stream.columns > 0; // some terminals do not know their width
  return canRedraw ? new LiveView(stream) : new PlainView((line) => stream.write(`${line}\n`));
}

const ENDED: readonly StageState[] = ["cached", "done", "skipped", "cancelled", "failed"];
const GOOD: readonly StageState[] = ["cached", "done", "skipped"];

/** listr2 asks whether standard output is a terminal, where standard error is meant. */
class LiveRenderer extends DefaultRenderer {
  static override nonTTY = true;
}

type Task = ListrTaskWrapper<unknown, typeof LiveRenderer, typeof SimpleRenderer>;

interface Row {
  readonly end: PromiseWithResolvers<void>;
  task?: Task;
  isEnded: boolean;
}

class LiveView implements ProgressView {
  readonly #stream: NodeJS.WriteStream;
  readonly #lines = new StageLines();
  readonly #rows = new Map<string, Row>();
  #rendering: Promise<unknown> | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  update({ stages }: PipelineStatus): void {
    if (this.#rendering === undefined) this.#start(stages);
    for (const stage of stages) this.#show(stage);
  }

  async close(): Promise<void> {
    for (const row of this.#rows.values()) row.end.resolve();
    await this.#rendering;
  }

  #start(stages: readonly StageStatus[]): void {
    const list = new Listr([], {
      concurrent: true,
      exitOnError: false,
      registerSignalListeners: false,
      renderer: LiveRenderer,
      rendererOptions: { logger: new ListrLogger({ processOutput: new ProcessOutput(this.#stream, this.#stream) }), collapseErrors: false },
    });
    for (const { id } of stages) {
      const row: Row = { end: Promise.withResolvers<void>(), isEnded: false };
      row.end.promise.catch(() => {}); // shown as a cross; the run's end tells the rest
      this.#rows.set(id, row);
      list.add({
        title: id,
        task: (_, task) => {
          row.task = task;
          return row.end.promise;
        },
      });
    }
    this.#rendering = list.run();
  }

  #show(stage: StageStatus): void {
    const row = this.#rows.get(stage.id)!;
    if (row.isEnded) return;
    const text = `${stage.id}  ${this.#lines.describe(stage, Date.now())}`;
    if (row.task !== undefined) row.task.title = text;
    if (!ENDED.includes(stage.state)) return;
    row.isEnded = true;
    if (GOOD.includes(stage.state)) row.end.resolve();
    else row.end.reject(new Error(text));
  }
}

const PROGRESS_EVERY_MS = 10_000;

class PlainView implements ProgressView {
  readonly #write: (line: string) => void;
  readonly #lines = new StageLines();
  readonly #shown = new Map<string, { readonly news: string; readonly at: number }>();

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  update({ stages }: PipelineStatus): void {
    const now = Date.now();
    for (const stage of stages) {
      const text = this.#lines.describe(stage, now); // also when it is not shown: rates count from the first sight
      const news = `${stage.state} ${Math.max(1, stage.attempt)} ${stage.error?.code}`;
      const last = this.#shown.get(stage.id);
      const isDue = stage.state === "running" && last !== undefined && now - last.at >= PROGRESS_EVERY_MS;
      if ((last?.news === news && !isDue) || (last === undefined && stage.state === "waiting")) continue;
      this.#shown.set(stage.id, { news, at: now });
      this.#write(`${stage.id}: ${text}`);
    }
  }

  async close(): Promise<void> {}
}
