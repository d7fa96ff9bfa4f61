import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  abort,
  artifactName,
  attach,
  cancel,
  finalStatus,
  joinSession,
  listRuns,
  pause,
  pipelineStatus,
  RequestRefused,
  resume,
  retryStage,
  RunUnknown,
  skipStage,
  stageLogPath,
  uiLink,
  type PipelineStatus,
} from "../src/index.ts";
import { stageOf, TestHome, undisturbed } from "../src/testing/test-home.ts";

let project: TestHome;
beforeAll(async () => {
  project = await TestHome.open();
}, 60_000);
afterAll(() => project.close(), 60_000);

const states = ({ stages }: PipelineStatus): string => stages.map(({ id, state }) => `${id} ${state}`).join(", ");

async function refusal(request: Promise<void>): Promise<string> {
  const error: unknown = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(RequestRefused);
  return `${(error as RequestRefused).code}: ${(error as RequestRefused).message}`;
}

test.concurrent("a run ends with the digests of an undisturbed one; a second run finds every result and starts no process", async () => {
  const { path, release } = project.hold();
  const settings = { seed: 1, recipe: { steps: 8 }, execution: { stepMs: 100, hold: path } };
  const first = await project.start(settings);
  const seen: number[] = [];
  let done!: PipelineStatus;
  for await (const status of attach(project.session, first, { intervalMs: 50 })) {
    const step = stageOf(status, "fold").progress?.step;
    done = status;
    if (step === undefined) continue;
    seen.push(step);
    release();
  }
  expect(seen.length).toBeGreaterThan(0);
  expect(done).toMatchObject({ runId: first, name: "folding", state: "done", seed: 1, numerics: { policy: "auto", dtype: "fp32" } });
  expect(states(done)).toBe("numbers done, fold done");
  expect(stageOf(done, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(1, { steps: 8 }));
  expect(stageOf(done, "fold").wallMs).toBeGreaterThan(700);
  await project.session.client.workflow.getHandle(first).result();
  expect(finalStatus(project.home, first)).toEqual(done);
  expect(await project.store.names.resolve(artifactName(first, "fold", "checkpoint"))).toEqual(stageOf(done, "fold").outputs.checkpoint);

  const second = await project.start(settings);
  const again = await project.end(second);
  expect(states(again)).toBe("numbers cached, fold cached");
  expect(stageOf(again, "fold")).toMatchObject({ key: stageOf(done, "fold").key, outputs: stageOf(done, "fold").outputs, attempt: 0 });
  expect(existsSync(stageLogPath(project.home, second, "fold"))).toBe(false);
  const listed = (await listRuns(project.home, project.session)).filter(({ runId }) => runId === first || runId === second);
  expect(listed.map(({ runId, state }) => [runId, state])).toEqual([[second, "done"], [first, "done"]]);
  expect(uiLink(project.session, first)).toBe(`${project.session.server.ui}/namespaces/default/workflows/${first}`);
});

test.concurrent("two runs that meet at one key make its result once", async () => {
  const [one, other] = await Promise.all([project.start({ seed: 2 }), project.start({ seed: 2 })]);
  const ends = [await project.end(one), await project.end(other)];
  expect(ends.map((status) => stageOf(status, "fold").state).sort()).toEqual(["cached", "done"]);
});

test.concurrent("a failure that no retry helps parks the run; a retry with a changed recipe ends it", async () => {
  const runId = await project.start({ seed: 3, recipe: { start: -1 } });
  const parked = await project.until(runId, ({ state }) => state === "parked");
  expect(states(parked)).toBe("numbers done, fold parked");
  expect(stageOf(parked, "fold")).toMatchObject({
    attempt: 1,
    error: { code: "NegativeStart", message: "start: expected 0 or more, found -1", retryable: false },
  });

  const { session } = project;
  expect(await refusal(retryStage(session, runId, { stage: "fald" }))).toBe("RequestRefused: stage fald: expected one of numbers, fold, found no such stage");
  expect(await refusal(retryStage(session, runId, { stage: "numbers" }))).toBe("RequestRefused: stage numbers: expected it to be parked, found that it is done");
  expect(await refusal(retryStage(session, runId, { stage: "fold", recipe: { stepz: 3 } }))).toBe(
    "InvalidRecipe: stage fold: recipe.stepz: expected one of steps, start, found the unknown key stepz",
  );
  expect(await refusal(resume(session, runId))).toBe("RequestRefused: resume: expected a paused pipeline, found that it is parked");
  expect(stageOf(await pipelineStatus(session, runId), "fold").state).toBe("parked");

  await retryStage(session, runId, { stage: "fold", recipe: { start: 4 } });
  const done = await project.until(runId, ({ state }) => state === "done");
  expect(stageOf(done, "fold")).toMatchObject({ state: "done", recipe: { steps: 5, start: 4 } });
  expect(stageOf(done, "fold")).not.toHaveProperty("error");
  expect(stageOf(done, "fold").key).not.toBe(stageOf(parked, "fold").key);
  expect(stageOf(done, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(3, { start: 4 }));
  await expect(retryStage(session, "folding-000000", { stage: "fold" })).rejects.toBeInstanceOf(RunUnknown);
});

test.concurrent("a failure that may pass is tried again by itself", async () => {
  writeFileSync(join(project.faults, "fail"), "told to");
  const runId = await project.start({ seed: 4, execution: { faults: project.faults } });
  const done = await project.end(runId);
  expect(stageOf(done, "fold")).toMatchObject({ state: "done", attempt: 2 });
  expect(stageOf(done, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(4, {}));
});

test.concurrent("a parked stage is skipped with an artifact that stands in for its output", async () => {
  const donor = stageOf(await project.end(await project.start({ seed: 5 })), "fold").outputs.checkpoint!.digest;
  const runId = await project.start({ seed: 5, recipe: { start: -2 }, again: true });
  const parked = await project.until(runId, ({ state }) => state === "parked");
  expect(states(parked)).toBe("numbers cached, fold parked, again waiting");
  const skip = (artifacts: Record<string, string>) => skipStage(project.session, runId, { stage: "fold", artifacts });
  expect(await refusal(skip({ report: donor }))).toBe("RequestRefused: stage fold: expected an artifact for checkpoint, found report");
  expect(await refusal(skip({ checkpoint: "abc" }))).toBe("RequestRefused: stage fold, output checkpoint: expected a digest of 64 hexadecimal digits, found abc");
  expect(await refusal(skip({ checkpoint: "0".repeat(64) }))).toMatch(/^ArtifactMissing: artifact 000000000000/);
  expect(await refusal(skip({ checkpoint: stageOf(parked, "numbers").outputs.documents!.digest }))).toMatch(/expected a checkpoint artifact, found documents/);
  await skip({ checkpoint: donor });
  const done = await project.until(runId, ({ state }) => state === "done");
  expect(states(done)).toBe("numbers cached, fold skipped, again done");
  expect(stageOf(done, "fold").outputs.checkpoint!.digest).toBe(donor);
});

test.concurrent("a parked run is aborted with a reason that is kept", async () => {
  const runId = await project.start({ seed: 6, recipe: { start: -1 }, again: true });
  await project.until(runId, ({ state }) => state === "parked");
  expect(await refusal(abort(project.session, runId, ""))).toMatch(/found no reason/);
  await abort(project.session, runId, "wrong seed");
  const aborted = await project.until(runId, ({ state }) => state === "aborted");
  expect(aborted.reason).toBe("wrong seed");
  expect(states(aborted)).toBe("numbers done, fold failed, again cancelled");
  await expect(project.session.client.workflow.getHandle(runId).result()).rejects.toThrow();
  expect(await refusal(abort(project.session, runId, "again"))).toMatch(/expected one that has not ended, found that it is aborted/);
});

/** Settings of a run whose stage waits at its third step until it is released or told to stop. */
function held(seed: number) {
  const { path, release } = project.hold();
  return { settings: { seed, recipe: { steps: 8 }, execution: { checkpointEvery: 8, hold: path } }, release };
}

test.concurrent("a paused run stops its stage at a checkpoint; resumed, it goes on from there", async () => {
  const { settings, release } = held(7);
  const runId = await project.start(settings);
  await project.until(runId, (_, stage) => stage("fold").progress?.step === 2);
  await pause(project.session, runId);
  const paused = await project.until(runId, (_, stage) => stage("fold").state === "paused");
  expect(paused.state).toBe("paused");
  expect(await refusal(pause(project.session, runId))).toMatch(/expected a running pipeline, found that it is paused/);
  const [checkpoint] = await project.store.records.checkpoints(stageOf(paused, "fold").key!);
  expect(checkpoint!.step).toBe(3);
  release();
  await resume(project.session, runId);
  const done = await project.end(runId);
  expect(project.log(runId, "fold")).toContain("going on from step 3");
  expect(stageOf(done, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(7, settings.recipe));
});

test.concurrent("a cancelled run leaves a checkpoint that the next run of the recipe goes on from", async () => {
  const { settings, release } = held(8);
  const runId = await project.start(settings);
  await project.until(runId, (_, stage) => stage("fold").progress?.step === 2);
  await cancel(project.session, runId);
  const cancelled = await project.until(runId, ({ state }) => state === "cancelled");
  expect(states(cancelled)).toBe("numbers done, fold cancelled");
  release();
  const next = await project.start(settings);
  const done = await project.end(next);
  expect(states(done)).toBe("numbers cached, fold done");
  expect(project.log(next, "fold")).toContain("going on from step 3");
  expect(stageOf(done, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(8, settings.recipe));
});

test.concurrent("numerics that this machine is slow in fail the run before it wastes time", async () => {
  const failed = await project.end(await project.start({ seed: 9, numerics: "bf16" }));
  expect(failed.state).toBe("failed");
  expect(failed.reason).toMatch(/numerics: expected a machine with fast bf16, found one for fp32/);
  expect(stageOf(failed, "fold").state).toBe("cancelled");
});

test("TEMPORAL_ADDRESS points to a server elsewhere, where runs of other stores do not mix", async () => {
  const { connection, pid } = project.session.server;
  process.env.TEMPORAL_ADDRESS = connection.address;
  const guest = await TestHome.open();
  try {
    expect(guest.session.server.pid).toBeUndefined();
    const runId = await guest.start({ seed: 1, recipe: { steps: 8 } });
    const done = await guest.end(runId);
    expect(states(done)).toBe("numbers done, fold done"); // made anew: another store
    expect(stageOf(done, "fold").outputs.checkpoint!.digest).toBe(await undisturbed(1, { steps: 8 }));
    expect(uiLink(guest.session, runId)).toBeUndefined();
  } finally {
    await guest.close();
    delete process.env.TEMPORAL_ADDRESS;
  }
  const joined = await joinSession(project.home);
  expect(joined?.server.pid).toBe(pid);
  await joined?.close();
});
