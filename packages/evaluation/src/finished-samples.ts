import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { StageContext } from "@diffucoder/lineage";
import type { SampleLine } from "./sample-line.ts";

/** Samples that are decoded and judged, in batches; kept in checkpoints, so that none of them is ever run again. */
export class FinishedSamples {
  readonly #context: StageContext;
  readonly #directory: string;
  readonly #batches = new Map<string, readonly SampleLine[]>();
  #unsaved: [string, readonly SampleLine[]][] = [];
  #savedAt: number;

  private constructor(context: StageContext) {
    this.#context = context;
    this.#directory = join(context.scratchDir, "finished");
    this.#savedAt = context.now();
  }

  /** Begins with what an earlier attempt at this stage has finished. */
  static async open(context: StageContext): Promise<FinishedSamples> {
    const finished = new FinishedSamples(context);
    await mkdir(finished.#directory);
    const { resumeFrom, artifacts, log } = context;
    if (resumeFrom === undefined) return finished;
    for (const { path } of (await artifacts.manifest(resumeFrom.ref)).files) {
      const text = await readFile(await artifacts.file(resumeFrom.ref, path), "utf8");
      await writeFile(join(finished.#directory, path), text);
      for (const [key, lines] of JSON.parse(text) as [string, SampleLine[]][]) finished.#batches.set(key, lines);
    }
    log(`${finished.count} finished samples are taken over`);
    return finished;
  }

  get count(): number {
    return [...this.#batches.values()].reduce((sum, lines) => sum + lines.length, 0);
  }

  find(key: string): readonly SampleLine[] | undefined {
    return this.#batches.get(key);
  }

  /** Adds a batch; saves all when the last time is long ago. */
  async add(key: string, lines: readonly SampleLine[], saveEverySeconds: number): Promise<void> {
    this.#batches.set(key, lines);
    this.#unsaved.push([key, lines]);
    if (this.#context.now() - this.#savedAt >= 1000 * saveEverySeconds) await this.save();
  }

  /** A file for what is new; the others are in the store by their digests. */
  async save(): Promise<void> {
    this.#savedAt = this.#context.now();
    if (this.#unsaved.length === 0) return;
    await writeFile(join(this.#directory, `${String(this.#batches.size).padStart(8, "0")}.json`), JSON.stringify(this.#unsaved));
    this.#unsaved = [];
    await this.#context.saveCheckpoint(this.count, this.#directory, { finishedSamples: this.count });
  }
}
