import { Writable } from "node:stream";
import type { PipelineStatus, StageStatus } from "@diffucoder/orchestrator";
import { afterEach, expect, test, vi } from "vitest";
import { createProgressView } from "./progress-view.ts";

const stage = (id: string, change: Partial<StageStatus> = {}): StageStatus => ({ id, uses: id, state: "waiting", attempt: 0, recipe: {}, execution: {}, outputs: {}, ...change });
const statusOf = (...stages: StageStatus[]): PipelineStatus => ({ runId: "r", name: "n", state: "running", seed: 1, numerics: { policy: "auto" }, stages, startedAt: 0 });

function screen(isTTY: boolean, columns = 120): { stream: NodeJS.WriteStream; text: () => string } {
  const written: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      written.push(chunk.toString());
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns, rows: 40 }) as unknown as NodeJS.WriteStream, text: () => written.join("") };
}

afterEach(() => void vi.useRealTimers());

test("off a terminal, lines come with news and every ten seconds of progress, and not in between", async () => {
  vi.useFakeTimers({ now: 0, toFake: ["Date"] });
  const { stream, text } = screen(false);
  const view = createProgressView(stream);
  const at = (seconds: number, ...stages: StageStatus[]): void => {
    vi.setSystemTime(seconds * 1000);
    view.update(statusOf(...stages));
  };
  const running = (step: number): StageStatus => stage("corpus", { state: "running", attempt: 1, progress: { step, totalSteps: 100, unit: "files" } });
  at(0, stage("corpus"), stage("tokenize"));
  at(1, stage("corpus", { state: "running" }), stage("tokenize"));
  at(2, running(0), stage("tokenize"));
  at(10, running(8), stage("tokenize"));
  at(11, running(9), stage("tokenize"));
  at(12, running(10), stage("tokenize"));
  at(13, stage("corpus", { state: "done", attempt: 1, wallMs: 12_000 }), stage("tokenize", { state: "cached", wallMs: 1 }));
  await view.close();
  expect(text()).toBe(
    ["corpus: starting", "corpus: files 9 of 100, 1.0/s, 1:31 left", "corpus: done in 12.0 s", "tokenize: cached (made in 0.0 s)", ""].join("\n"),
  );
});

test("a terminal that does not know its width gets lines", async () => {
  const { stream, text } = screen(true, 0);
  const view = createProgressView(stream);
  view.update(statusOf(stage("corpus", { state: "cached" })));
  await view.close();
  expect(text()).toBe("corpus: cached (made in 0.0 s)\n");
});

test("on a terminal every stage has a line of its own, which is left as it was last", async () => {
  const { stream, text } = screen(true);
  const view = createProgressView(stream);
  view.update(statusOf(stage("corpus", { state: "running" }), stage("tokenize"), stage("pretraining")));
  await new Promise((resolve) => setTimeout(resolve, 50));
  view.update(statusOf(stage("corpus", { state: "done", wallMs: 2000 }), stage("tokenize", { state: "cancelled" }), stage("pretraining", { state: "parked" })));
  await new Promise((resolve) => setTimeout(resolve, 50));
  view.update(statusOf(stage("corpus", { state: "waiting" }), stage("tokenize"), stage("pretraining", { state: "running" }))); // what has ended stays
  await view.close();
  const last = text().slice(text().lastIndexOf("corpus"));
  expect(last).toContain("corpus  done in 2.0 s");
  expect(last).toContain("tokenize  cancelled");
  expect(last).toContain("pretraining  starting");
});
