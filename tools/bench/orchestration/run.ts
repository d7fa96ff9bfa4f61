// `npm run bench:orchestration [-- RUN]`: how much of a run's time no process of a stage was there.
import { readFileSync } from "node:fs";
import { openStore } from "@diffucoder/lineage";
import { finalStatus, listRuns, openHome, stageLogPath } from "@diffucoder/orchestrator";

const home = openHome();
const runId = process.argv[2] ?? (await listRuns(home)).find(({ state }) => state === "done")?.runId;
const status = runId === undefined ? undefined : finalStatus(home, runId);
if (status?.finishedAt === undefined) {
  console.error(`run ${runId ?? ""}: expected one that is done, found none. \`diffucoder run\` makes one.`);
  process.exit(2);
}
const store = await openStore(home.store);
const spans: (readonly [start: number, end: number])[] = [];
for (const { id, state, key } of status.stages) {
  if (state !== "done") continue;
  // The supervisor writes the time of each attempt's start into the log; the newest one gave the result.
  const start = [...readFileSync(stageLogPath(home, status.runId, id), "utf8").matchAll(/^--- (\S+) attempt$/gm)].at(-1)![1]!;
  const { startedAt, wallMs } = (await store.records.binding(key!))!.cost;
  spans.push([Date.parse(start), Date.parse(startedAt) + wallMs]);
}
const total = status.finishedAt - status.startedAt;
const idle = total - lengthOfUnion(spans);
console.log(`run ${status.runId}: ${(total / 1000).toFixed(1)} s, ${spans.length} stages made; no stage process for ${(idle / 1000).toFixed(2)} s, ${((100 * idle) / total).toFixed(2)} %`);

function lengthOfUnion(all: readonly (readonly [number, number])[]): number {
  let covered = 0;
  let reached = -Infinity;
  for (const [start, end] of [...all].sort((a, b) => a[0] - b[0])) {
    covered += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return covered;
}
