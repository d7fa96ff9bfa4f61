// The whole pipeline as a user runs it, at tiny size: once undisturbed, once again, and with each process killed on the way.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isProcessAlive, type LineageNode } from "@diffucoder/lineage";
import { liveWorkers, serverStatus, type PipelineStatus } from "@diffucoder/orchestrator";
import { digestsOf, Project, stageOf, TINY, until } from "./support/project.ts";

const STAGES = ["corpus", "tokenize", "pretraining", "tokenize-annealing", "annealing", "instruction-tuning", "coupled-grpo", "evaluation"];
const LIMIT_MS = 300_000;

const project = new Project();
let undisturbed: PipelineStatus;
beforeAll(async () => {
  undisturbed = await project.json<PipelineStatus>("run", TINY);
}, LIMIT_MS);
afterAll(() => project.close());

test("every stage of a first run is made, and the run ends with every artifact", () => {
  expect(undisturbed.state).toBe("done");
  expect(undisturbed.stages.map(({ id, state }) => `${id} ${state}`)).toEqual(STAGES.map((id) => `${id} done`));
  expect(Object.keys(digestsOf(undisturbed))).toHaveLength(STAGES.length + 1); // coupled-grpo has two
});

test("the corpus counts what it dropped, by reason", () => {
  expect(stageOf(undisturbed, "corpus").summary).toMatchObject({ filesRead: 305, documents: 302, dropped: { contaminated: 1, "near-duplicate": 1, "not-utf8": 1 } });
});

test("a second run finds every result and says so stage by stage", async () => {
  const { code, stdout, stderr } = await project.run("run", TINY);
  expect(code).toBe(0);
  for (const stage of STAGES) expect(stderr).toMatch(new RegExp(`^${stage}: cached \\(made in `, "m"));
  expect(stdout).toMatch(/evaluation +cached/);
  expect(digestsOf(await project.json<PipelineStatus>("status"))).toEqual(digestsOf(undisturbed));
}, LIMIT_MS);

test("a plan foretells the memory of each training stage within a fifth", async () => {
  const { stages } = await project.json<{ stages: { id: string; plan: { peakMemoryBytes?: number } }[] }>("run", TINY, "--plan");
  const { records } = await project.store();
  const planned = stages.filter(({ plan }) => plan.peakMemoryBytes !== undefined);
  expect(planned.map(({ id }) => id)).toEqual(["pretraining", "annealing", "instruction-tuning", "coupled-grpo"]);
  for (const { id, plan } of planned) {
    const { cost } = (await records.binding(stageOf(undisturbed, id).key!))!;
    expect(plan.peakMemoryBytes! / cost.peakMemoryBytes, id).toBeGreaterThan(0.8);
    expect(plan.peakMemoryBytes! / cost.peakMemoryBytes, id).toBeLessThan(1.2);
  }
});

test("a new seed makes everything anew", async () => {
  const { stages } = await project.json<{ stages: { id: string; state: string }[] }>("run", TINY, "--plan", "--seed", "2");
  expect(stages.map(({ id, state }) => `${id} ${state}`)).toEqual(["corpus runs", ...STAGES.slice(1).map((id) => `${id} waits`)]);
  const explained = await project.run("explain", "corpus", "--recipe", TINY, "--seed", "2");
  expect(explained.stdout).toMatch(/^stage corpus, key [0-9a-f]{12}: no result stands under this key\nthe nearest run under another key, [0-9a-f]{12}, differs in\n {2}seed: there 1, here 2\n$/);
});

test("lineage leads from the report back to cards, files and benchmark, and every byte is in order", async () => {
  const report = await project.json<LineageNode>("lineage", "show", `evaluation.report@${undisturbed.runId}`);
  const names = new Set<string>();
  const visit = (node: LineageNode): void => {
    names.add(node.run.stage);
    for (const source of Object.keys(node.sources)) names.add(source);
    Object.values(node.inputs).forEach(visit);
  };
  visit(report);
  expect([...names].sort()).toEqual(
    ["../data-cards/tiny-library.yaml", "../data-cards/tiny-tasks.yaml", "../test/fixtures/benchmark.jsonl", "annealing", "benchmark ../test/fixtures/benchmark.jsonl", "corpus", "coupled-grpo", "evaluation", "instruction-tuning", "pretraining", "tokenize"],
  );
  const { finishedFrom } = report.run;
  expect(finishedFrom).toMatchObject({ packageVersion: expect.stringMatching(/^\d/), facts: { seed: 1 }, numerics: { dtype: "fp32", threads: expect.any(Number) } });
  expect(Object.keys(finishedFrom.packages)).toContain("@tensorflow/tfjs-core");
  expect(Object.keys(finishedFrom.environment)).toEqual(expect.arrayContaining(["cpu", "node", "platform"]));

  expect(await project.run("lineage", "verify")).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+ artifacts, 0 damaged files\n$/) });
});

test("the report is laid out as a page and as data, with the metrics of all stages", async () => {
  const folder = join(project.root, "report");
  expect((await project.run("export", `evaluation.report@${undisturbed.runId}`, folder)).code).toBe(0);
  expect(readdirSync(folder).sort()).toEqual(["evalplus", "metrics.jsonl", "report.html", "report.json", "samples.jsonl"]);
  expect(JSON.parse(readFileSync(join(folder, "report.json"), "utf8"))).toEqual(stageOf(undisturbed, "evaluation").summary);
  const metrics = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n").map((line) => (JSON.parse(line) as { stage: string }).stage);
  expect([...new Set(metrics)]).toEqual(["pretraining", "annealing", "instruction-tuning", "coupled-grpo"]);
  // Copies: whatever is done to them, the store stays as it is.
  writeFileSync(join(folder, "report.html"), "scribbled over");
  expect((await project.run("lineage", "verify")).code).toBe(0);
  const again = await project.run("export", `evaluation.report@${undisturbed.runId}`, folder);
  expect(again).toMatchObject({ code: 2, stderr: expect.stringMatching(/expected an empty or new folder, found 5 files/) });
});

test("a checkpoint answers a prompt, equally for an equal seed", async () => {
  const checkpoint = `instruction-tuning.checkpoint@${undisturbed.runId}`;
  const generate = (...more: string[]) => project.json<{ text: string; tokens: { text: string; step: number }[] }>("generate", checkpoint, "--prompt", "NAMED ADD 3 MUL 2", "--steps", "4", ...more);
  const [one, same, other] = [await generate("--temperature", "1"), await generate("--temperature", "1"), await generate("--temperature", "1", "--seed", "2")];
  expect(same).toEqual(one);
  expect(other.tokens).not.toEqual(one.tokens);
  // The recipe's canvas of 64 tokens, less the prompt: on another one the model would be out of its depth.
  expect(one.tokens.length).toBe((await generate("--canvas", "64")).tokens.length);
  const cached = await generate("--cache", "dual", "--block", "8", "--threshold", "0.9", "--stop");
  expect(cached.tokens.length).toBe(one.tokens.length);
  const gap = await project.json<{ tokens: { step: number; confidence: number }[] }>("generate", checkpoint, "--prefix", "def double(x):\n    return ", "--suffix", "\n", "--gap", "5", "--steps", "3");
  expect(gap.tokens.map(({ step }) => step >= 0 && step < 3)).toEqual(new Array(5).fill(true));
  expect(new Set(one.tokens.map(({ step }) => step))).toEqual(new Set([0, 1, 2, 3]));
});

test("what the stages printed can be read, of a run that made them", async () => {
  expect(await project.run("logs", "pretraining", "-r", undisturbed.runId)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^--- \S+ attempt\n/) });
  const cached = await project.run("logs", "pretraining");
  expect(cached).toMatchObject({ code: 0, stdout: "", stderr: expect.stringMatching(/has printed nothing: it was cached, or has not started/) });
  expect(await project.run("logs", "training")).toMatchObject({ code: 2, stderr: expect.stringMatching(/^Usage: stage training: expected one of corpus, tokenize, .*, found no such stage/) });
});

test("a run that has ended takes no more requests", async () => {
  for (const request of [["pause"], ["resume"], ["cancel"], ["abort", "--reason", "late"], ["retry", "corpus"]]) {
    expect(await project.run(...request)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^RequestRefused: run .* expected one that has not ended, found that it is done/) });
  }
});

test("a result is accepted for other code only, never for another seed", async () => {
  const refused = await project.run("explain", "corpus", "--recipe", TINY, "--seed", "2", "--accept-code", "looks alike");
  expect(refused).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(/^AcceptanceRefused: .*expected nothing but the code to differ .*found seed/) });
});

/** Starts the run in a project of its own and strikes once the stage has saved its first checkpoint. */
async function disturbed(stage: string, strike: (victim: Project) => Promise<void>): Promise<{ status: PipelineStatus; resumedFrom: number | null }> {
  const victim = new Project();
  try {
    const { runId } = await victim.json<{ runId: string }>("run", TINY, "--detach");
    const store = await victim.store();
    const key = await until(`a checkpoint of ${stage}`, async () => {
      for (const start of await store.records.starts()) {
        if (start.facts.stage === stage && (await store.records.checkpoints(start.key)).length > 0) return start.key;
      }
      return undefined;
    }, LIMIT_MS);
    expect(await store.records.binding(key)).toBeUndefined(); // it is still at work
    await strike(victim);
    const status = await victim.json<PipelineStatus>("status", "-w", "-r", runId);
    const binding = await store.records.binding(key);
    return { status, resumedFrom: binding!.resumedFromStep };
  } finally {
    await victim.close();
  }
}

function isStage(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("stage-process");
  } catch {
    return false; // ended since it was listed
  }
}

function stageProcessOf(victim: Project): number {
  for (const { pid } of liveWorkers(victim.home)) {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
    const found = children.find(isStage);
    if (found !== undefined) return found;
  }
  throw new Error("no stage is at work");
}

test("a trainer that is killed goes on from its checkpoint to the same bytes", async () => {
  const { status, resumedFrom } = await disturbed("pretraining", async (victim) => void process.kill(stageProcessOf(victim), "SIGKILL"));
  expect(status.state).toBe("done");
  expect(resumedFrom).toBeGreaterThanOrEqual(10);
  expect(digestsOf(status)).toEqual(digestsOf(undisturbed));
}, LIMIT_MS);

test("a killed worker takes its stage with it; the next one goes on to the same bytes", async () => {
  const { status, resumedFrom } = await disturbed("instruction-tuning", async (victim) => {
    const orphan = stageProcessOf(victim);
    process.kill(liveWorkers(victim.home)[0]!.pid, "SIGKILL");
    await until("the stage to die with its worker", () => (isProcessAlive(orphan) ? undefined : true));
  });
  expect(status.state).toBe("done");
  expect(resumedFrom).toBeGreaterThanOrEqual(10);
  expect(digestsOf(status)).toEqual(digestsOf(undisturbed));
}, LIMIT_MS);

test("after the server was killed the run goes on from its database to the same bytes", async () => {
  const { status } = await disturbed("coupled-grpo", async (victim) => void process.kill((await serverStatus(victim.home)).pid!, "SIGKILL"));
  expect(status.state).toBe("done");
  expect(digestsOf(status)).toEqual(digestsOf(undisturbed));
}, LIMIT_MS);
