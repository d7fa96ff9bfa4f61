import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isProcessAlive } from "@diffucoder/lineage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { liveWorkers, serverStatus, workerDown, workerUp } from "../src/index.ts";
import { stageOf, TEST_STAGES, TestHome, undisturbed } from "../src/testing/test-home.ts";

let project: TestHome;
beforeAll(async () => {
  project = await TestHome.open();
}, 60_000);
afterAll(() => project.close(), 60_000);

const RECIPE = { steps: 8 };
const EXECUTION = { checkpointEvery: 4, faultStep: 5 };

/** Starts a run whose training stage waits past its first checkpoint until it is released. */
async function startAndHold(seed: number) {
  const { path, release } = project.hold();
  const runId = await project.start({ seed, recipe: RECIPE, execution: { ...EXECUTION, hold: path } });
  await project.until(runId, (_, stage) => stage("fold").progress?.step === EXECUTION.faultStep);
  return { runId, release };
}

async function expectUndisturbed(runId: string, seed: number): Promise<void> {
  const status = await project.end(runId);
  expect(status.state).toBe("done");
  expect(stageOf(status, "fold").attempt).toBeGreaterThan(1);
  expect(project.log(runId, "fold")).toMatch(/going on from step \d+/);
  expect(stageOf(status, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(seed, RECIPE));
}

/** The stage of these tests would hang for ever; the limit only allows for a busy machine. */
async function diesWithin(pid: number, limitMs: number): Promise<boolean> {
  for (const deadline = Date.now() + limitMs; Date.now() < deadline; await sleep(20)) {
    if (!isProcessAlive(pid)) return true;
  }
  return false;
}

test("a stage process that is killed is started again from its checkpoint", async () => {
  const { runId, release } = await startAndHold(1);
  process.kill(await project.stageProcess(), "SIGKILL");
  await project.until(runId, (_, stage) => stage("fold").error?.code === "StageCrashed");
  release();
  await expectUndisturbed(runId, 1);
});

test("a stage that hangs is stopped and started again", async () => {
  writeFileSync(join(project.faults, "hang"), "");
  const { path, release } = project.hold();
  const execution = { ...EXECUTION, faults: project.faults, hold: path };
  const runId = await project.start({ seed: 2, recipe: RECIPE, execution, retry: { stallMs: 2000, graceMs: 300 } });
  await project.until(runId, (_, stage) => stage("fold").error?.code === "StageStalled");
  release();
  await expectUndisturbed(runId, 2);
});

test("a stage does not outlive a killed worker, even in a loop that never yields; a new worker ends the run", async () => {
  writeFileSync(join(project.faults, "hang"), "");
  const runId = await project.start({ seed: 3, recipe: RECIPE, execution: { ...EXECUTION, faults: project.faults }, retry: { heartbeatMs: 2000 } });
  while (existsSync(join(project.faults, "hang"))) await sleep(20);
  const orphan = await project.stageProcess();
  process.kill(project.worker(), "SIGKILL");
  expect(await diesWithin(orphan, 30_000)).toBe(true);
  await expectUndisturbed(runId, 3);
});

test("a run goes on from the same database after the server was killed", async () => {
  const { runId, release } = await startAndHold(4);
  const { pid, address } = await serverStatus(project.home);
  process.kill(pid!, "SIGKILL");
  await project.until(runId, () => true); // a status means that there is a server again
  release();
  const status = await project.end(runId);
  expect(status.state).toBe("done");
  expect(stageOf(status, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(4, RECIPE));
  const after = await serverStatus(project.home);
  expect(after.isUp && after.pid !== pid && after.address === address).toBe(true);
});

test("a worker that is told to stop lets its stage save a checkpoint; the next one goes on", async () => {
  const { runId, release } = await startAndHold(5);
  expect(await workerDown(project.home)).toBe(1);
  expect(liveWorkers(project.home)).toEqual([]);
  await project.until(runId, (_, stage) => stage("fold").error?.code === "WorkerStopped");
  release();
  await expectUndisturbed(runId, 5);
});

test("a worker with older sources is replaced, but not while a stage is at work", async () => {
  const { runId, release } = await startAndHold(6);
  const before = project.worker();
  process.env.DIFFUCODER_STAGES = TEST_STAGES.replace("/testing/", "/./testing/");
  await workerUp(project.home, project.session.server.connection.address);
  expect(project.worker()).toBe(before);
  release();
  await project.end(runId);
  await workerUp(project.home, project.session.server.connection.address);
  expect(liveWorkers(project.home).map(({ pid }) => pid)).not.toContain(before);
  expect(liveWorkers(project.home)).toHaveLength(1);
});
