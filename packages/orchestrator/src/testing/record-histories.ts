// Records what the workflows do now, for the replay test: node --conditions=@diffucoder/source src/testing/record-histories.ts [SCENARIO…]
// Run it for what is new after a change to the order of a workflow, and keep the older files: runs of them may still be at work.
import { mkdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import { cancel, pause, resume, retryStage, skipStage } from "../index.ts";
import { TestHome } from "./test-home.ts";

const VERSION = "0.1.0";
const folder = join(import.meta.dirname, "histories", VERSION);
const repository = resolve(import.meta.dirname, "../../../..");

const project = await TestHome.open();
const { session } = project;
mkdirSync(folder, { recursive: true });

async function keep(name: string, workflowId: string): Promise<void> {
  const history = await session.client.workflow.getHandle(workflowId).fetchHistory();
  const text = historyToJSON(history).replaceAll(repository, "/repository").replaceAll(hostname(), "host");
  writeFileSync(join(folder, `${name}.json`), `${text}\n`);
}

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  // Done with everything made new, a pause on the way; then everything cached.
  async paused() {
    const slow = { seed: 1, recipe: { steps: 20 }, execution: { stepMs: 50 } };
    const paused = await project.start(slow);
    await project.until(paused, (_, stage) => (stage("fold").progress?.step ?? 0) > 2);
    await pause(session, paused);
    await project.until(paused, (_, stage) => stage("fold").state === "paused");
    await resume(session, paused);
    await project.end(paused);
    await keep("paused-and-resumed", paused);
    await keep("paused-and-resumed-stage", `${paused}/fold/1`);
    const cached = await project.start(slow);
    await project.end(cached);
    await keep("cached", cached);
    await keep("cached-stage", `${cached}/fold/1`);
  },
  // Parked, retried in vain, skipped.
  async parked() {
    const parked = await project.start({ seed: 2, recipe: { start: -1 }, again: true });
    await project.until(parked, ({ state }) => state === "parked");
    await retryStage(session, parked, { stage: "fold", recipe: { start: -2 } });
    const second = await project.until(parked, ({ state }, stage) => state === "parked" && stage("fold").workflowId === `${parked}/fold/2`);
    await keep("parked-stage", second.stages[1]!.workflowId!);
    const donor = await project.end(await project.start({ seed: 1 }));
    await skipStage(session, parked, { stage: "fold", artifacts: { checkpoint: donor.stages[1]!.outputs.checkpoint!.digest } });
    await project.until(parked, ({ state }) => state === "done");
    await keep("parked-retried-skipped", parked);
  },
  // Its process killed, then cancelled.
  async cancelled() {
    const cancelled = await project.start({ seed: 3, recipe: { steps: 200 }, execution: { stepMs: 50 } });
    await project.until(cancelled, (_, stage) => (stage("fold").progress?.step ?? 0) > 2);
    process.kill(await project.stageProcess(), "SIGKILL");
    await project.until(cancelled, (_, stage) => stage("fold").attempt === 2 && stage("fold").progress !== undefined);
    await cancel(session, cancelled);
    await project.until(cancelled, ({ state }) => state === "cancelled");
    await session.client.workflow.getHandle(cancelled).result().catch(() => {}); // cancelled
    await keep("cancelled", cancelled);
    await keep("cancelled-stage", `${cancelled}/fold/1`);
  },
  // Its parts side by side, one of them killed, all paused on the way; then one refused for good.
  async parts() {
    const { path, release } = project.hold();
    const shared = await project.startOne("tally", { seed: 1, execution: { parts: 3, hold: path } });
    await project.until(shared, () => project.log(shared, "tally").includes("making unit 3"));
    process.kill(await project.stageProcess(), "SIGKILL");
    await project.until(shared, (_, stage) => stage("tally").attempt === 2);
    await pause(session, shared);
    await project.until(shared, (_, stage) => stage("tally").state === "paused");
    release();
    await resume(session, shared);
    await project.end(shared);
    await keep("parts", shared);
    await keep("parts-stage", `${shared}/tally/1`);
    const refused = await project.startOne("tally", { seed: 2, recipe: { refused: 1 }, execution: { parts: 3 } });
    await project.until(refused, ({ state }) => state === "parked");
    await keep("parts-refused-stage", `${refused}/tally/1`);
    await cancel(session, refused);
  },
};

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(scenarios);
for (const name of wanted) await scenarios[name]!();
await project.close();
