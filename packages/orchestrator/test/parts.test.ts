// Stages whose work several processes share: a quick one that can be held, and the corpus.
import { afterAll, beforeAll, expect, test } from "vitest";
import { pause, resume } from "../src/index.ts";
import { stageOf, TestHome } from "../src/testing/test-home.ts";

let project: TestHome;
beforeAll(async () => {
  project = await TestHome.open();
}, 60_000);
afterAll(() => project.close(), 60_000);

const madeUnits = (runId: string): number[] => [...project.log(runId, "tally").matchAll(/^making unit (\d+)$/gm)].map(([, unit]) => Number(unit)).sort((a, b) => a - b);
const attempts = (runId: string): string[] => [...project.log(runId, "tally").matchAll(/^--- \S+ (attempt.*)$/gm)].map(([, what]) => what!).sort();

test("parts run side by side, as many as there are slots, and the stage finds what they have left", async () => {
  const { path, release } = project.hold();
  const runId = await project.startOne("tally", { seed: 1, recipe: { units: 5 }, execution: { parts: 3, hold: path, holdFrom: 0 } });
  const held = await project.until(runId, (_, stage) => madeUnits(runId).length === 2 && (stage("tally").progress?.note?.includes("; ") ?? false));
  expect(stageOf(held, "tally").progress).toMatchObject({ unit: "units", totalSteps: 5, note: expect.stringMatching(/^part \d: unit \d; part \d: unit \d$/) as string });
  expect(project.stageProcesses()).toHaveLength(2);
  release();
  const done = await project.end(runId);
  const { startedAt, finishedAt, wallMs, key } = stageOf(done, "tally");
  expect(stageOf(done, "tally")).toMatchObject({ state: "done", attempt: 1 });
  expect(wallMs).toBeGreaterThan(0.5 * (finishedAt! - startedAt!)); // the parts' time counts
  const { cost } = (await project.store.records.binding(key!))!;
  expect(cost.cpuMs).toBeGreaterThan(0);
  expect(madeUnits(runId)).toEqual([0, 1, 2, 3, 4]);
  expect(attempts(runId)).toEqual(["attempt", "attempt at part 1 of 3", "attempt at part 2 of 3", "attempt at part 3 of 3"]);
  const alone = await project.startOne("tally", { seed: 1, recipe: { units: 5 } });
  expect(stageOf(await project.end(alone), "tally")).toMatchObject({ state: "cached", key: stageOf(done, "tally").key });
});

test("when a part's process is killed that part alone is tried again, and of its units only the one that was at work is made again", async () => {
  const { path, release } = project.hold();
  const runId = await project.startOne("tally", { seed: 2, recipe: { units: 8 }, execution: { parts: 2, hold: path, holdFrom: 4 } });
  await project.until(runId, () => madeUnits(runId).length === 6); // 0 to 3 are made; 4 and 5 wait
  process.kill(project.stageProcesses()[0]!, "SIGKILL");
  await project.until(runId, (_, stage) => stage("tally").error?.code === "StageCrashed" && madeUnits(runId).length === 7);
  release();
  expect(stageOf(await project.end(runId), "tally")).toMatchObject({ state: "done" });
  const made = madeUnits(runId);
  const again = made.filter((unit, i) => made[i + 1] === unit);
  expect(again).toHaveLength(1);
  expect([4, 5]).toContain(again[0]);
  expect([...new Set(made)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  const killed = again[0]! - 3; // unit 4 is of part 1
  expect(attempts(runId)).toEqual(["attempt", "attempt at part 1 of 2", "attempt at part 2 of 2", `attempt at part ${killed} of 2`].sort());
});

test("a part that fails for good ends the others, and the stage is parked with its reason", async () => {
  const { path } = project.hold();
  const runId = await project.startOne("tally", { seed: 3, recipe: { refused: 1 }, execution: { parts: 2, hold: path, holdFrom: 2 } });
  const parked = await project.until(runId, ({ state }) => state === "parked");
  expect(stageOf(parked, "tally").error).toMatchObject({ code: "Refused", message: "unit 1: expected another, found it" });
  expect(project.stageProcesses()).toEqual([]);
  expect(attempts(runId)).toEqual(["attempt at part 1 of 2", "attempt at part 2 of 2"]);
});

test("a paused run stops its parts; resumed, they go on from the pieces that are there", async () => {
  const { path, release } = project.hold();
  const runId = await project.startOne("tally", { seed: 4, recipe: { units: 4 }, execution: { parts: 2, hold: path, holdFrom: 2 } });
  await project.until(runId, () => madeUnits(runId).length === 4);
  await pause(project.session, runId);
  await project.until(runId, (_, stage) => stage("tally").state === "paused");
  expect(project.stageProcesses()).toEqual([]);
  release();
  await resume(project.session, runId);
  expect(stageOf(await project.end(runId), "tally").state).toBe("done");
  expect(madeUnits(runId)).toEqual([0, 1, 2, 2, 3, 3]);
});
