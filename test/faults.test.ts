// What goes wrong on real machines: each fault is named with what helps, and the run goes on once it is mended.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { PipelineStatus } from "@diffucoder/orchestrator";
import { digestsOf, Project, ROOT, stageOf, TINY } from "./support/project.ts";

const LIMIT_MS = 300_000;

const project = new Project();
afterAll(() => project.close());

const recipes = mkdtempSync(join(tmpdir(), "diffucoder-recipes-"));
afterAll(() => rmSync(recipes, { recursive: true }));

/** A recipe of the first stages only, over a tree that a test can break. */
function treeRecipe(name: string, tree: string): string {
  const card = readFileSync(join(ROOT, "data-cards/tiny-library.yaml"), "utf8").replace("../test/fixtures/library", tree);
  writeFileSync(join(recipes, `${name}-card.yaml`), card);
  const file = join(recipes, `${name}.yaml`);
  const stages = [
    { id: "corpus", uses: "corpus", recipe: { sources: [{ card: `${name}-card.yaml` }], validationShare: 0.4 } },
    { id: "tokenize", uses: "tokenize", inputs: { documents: "corpus.documents" }, recipe: { vocabSize: 300 } },
  ];
  writeFileSync(file, JSON.stringify({ name, seed: 1, stages })); // JSON is YAML
  return file;
}

test("a broken recipe is refused before anything starts, with file, line and key", async () => {
  const file = join(recipes, "broken.yaml");
  writeFileSync(file, readFileSync(TINY, "utf8").replace("batchSize: 8", "batchsize: 8"));
  const { code, stderr } = await project.run("run", file);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^InvalidRecipe: .*broken\.yaml: line 28, stages\.pretraining\.recipe\.batchsize: expected one of .*batchSize.*, found the unknown key batchsize\n$/);
  expect(await project.json("runs")).toEqual([]);
});

test("a missing source parks the run; once it is there, a retry ends it", async () => {
  const tree = join(recipes, "library");
  const parked = await project.run("run", treeRecipe("missing", tree), "-o", "json");
  expect(parked.code).toBe(3);
  const status = JSON.parse(parked.stdout) as PipelineStatus;
  expect(stageOf(status, "corpus")).toMatchObject({ state: "parked", error: { code: "SourceMissing" } });
  expect(parked.stderr).toMatch(/card tiny-library: expected a directory at .*library, found none \(ENOENT\)\. Fetch the source or correct `origin\.path` in the card\./);
  expect(parked.stderr).toContain(`diffucoder retry corpus -r ${status.runId}`);

  cpSync(join(ROOT, "test/fixtures/library"), tree, { recursive: true });
  expect(await project.run("retry")).toMatchObject({ code: 0, stderr: `stage corpus of run ${status.runId} starts again\n` });
  expect((await project.json<PipelineStatus>("status", "-w")).state).toBe("done");
}, LIMIT_MS);

test("a damaged shard stops training with the file's name; once it is deleted, a run makes it anew", async () => {
  const short = [TINY, "--set", "stages.pretraining.recipe.steps=4"];
  await project.json("run", ...short, "--detach");
  const whole = await project.run("status", "-w", "-o", "json");
  const before = JSON.parse(whole.stdout) as PipelineStatus;
  expect(whole.code).toBe(0);

  const store = await project.store();
  const ref = stageOf(before, "tokenize").outputs.shards!;
  const { files } = await store.artifacts.manifest(ref);
  const path = await store.artifacts.file(ref, files.find((file) => file.path.startsWith("train/") && file.path.endsWith(".arrow"))!.path);
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(path, bytes);
  const verified = await project.run("lineage", "verify");
  expect(verified).toMatchObject({ code: 5, stdout: expect.stringContaining(path) });

  const damaged = await project.run("run", TINY, "--set", "stages.pretraining.recipe.steps=5");
  expect(damaged.code).toBe(3);
  expect(damaged.stderr).toMatch(/stage pretraining is parked after ShardCorrupt: .*expected sha256 [0-9a-f]{64}, found [0-9a-f]{64}/);
  expect(damaged.stderr).toContain(path);
  expect((await project.run("abort", "--reason", "damaged shard")).code).toBe(0);

  rmSync(path);
  const mended = await project.run("run", TINY, "--set", "stages.pretraining.recipe.steps=5", "-o", "json");
  expect(mended.code).toBe(0);
  const after = JSON.parse(mended.stdout) as PipelineStatus;
  expect(stageOf(after, "tokenize").state).toBe("done");
  expect(stageOf(after, "tokenize").outputs).toEqual(stageOf(before, "tokenize").outputs);
  expect(await project.run("lineage", "verify")).toMatchObject({ code: 0 });
}, LIMIT_MS);

test("a truncated artifact is no cache hit", async () => {
  const status = await project.json<PipelineStatus>("status");
  const store = await project.store();
  const ref = stageOf(status, "corpus").outputs.documents!;
  const { files } = await store.artifacts.manifest(ref);
  truncateSync(await store.artifacts.file(ref, files[0]!.path), 3);
  const again = await project.json<PipelineStatus>("run", TINY, "--set", "stages.pretraining.recipe.steps=5");
  expect(stageOf(again, "corpus").state).toBe("done");
  expect(digestsOf(again)).toEqual(digestsOf(status));
}, LIMIT_MS);

test("a port that is taken is named, with the variable to change; without it the server starts", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const fresh = new Project();
  try {
    fresh.environment.DIFFUCODER_TEMPORAL_PORT = String((other.address() as AddressInfo).port);
    expect(await fresh.run("server", "up")).toMatchObject({ code: 1, stderr: expect.stringMatching(/^PortTaken: port \d+ \(DIFFUCODER_TEMPORAL_PORT\): expected it to be free, found another process listening/) });
    delete fresh.environment.DIFFUCODER_TEMPORAL_PORT;
    expect(await fresh.run("server", "up")).toMatchObject({ code: 0, stderr: expect.stringMatching(/^embedded server: up at 127\.0\.0\.1:\d+/) });
  } finally {
    other.close();
    await fresh.close();
  }
}, LIMIT_MS);

/** A folder with what the tools of a run need on the PATH, but for bubblewrap. */
function pathWithoutBubblewrap(): string {
  const folder = mkdtempSync(join(recipes, "path-"));
  for (const tool of ["git", "setpriv", "python3", "sh", "env"]) {
    const found = spawnSync("which", [tool], { encoding: "utf8" }).stdout.trim();
    if (found !== "") symlinkSync(found, join(folder, tool));
  }
  return folder;
}

test("without a sandbox there is no score but an error that says how to get one; with it the run goes on", async () => {
  const trained = await project.json<PipelineStatus>("status");
  const candidate = stageOf(trained, "instruction-tuning").outputs.checkpoint!.digest;
  const file = join(recipes, "scores.yaml");
  const recipe = { tasks: { count: 2 }, decoding: { canvasLength: 64, steps: 2, batchSize: 4 }, samples: { perTask: 1 }, passAt: [1] };
  writeFileSync(file, JSON.stringify({ name: "scores", seed: 1, stages: [{ id: "evaluation", uses: "evaluation", inputs: { candidate: `artifact:${candidate}` }, recipe }] }));

  expect((await project.run("worker", "down")).code).toBe(0);
  project.environment.PATH = pathWithoutBubblewrap();
  project.environment.TEMPORAL_CLI_PATH = "/not/asked/for"; // the server is up already
  const parked = await project.run("run", file);
  expect(parked.code).toBe(3);
  expect(parked.stderr).toMatch(/stage evaluation is parked after SandboxUnavailable: sandbox: expected bubblewrap .* found no bwrap on the PATH\. Install it: `sudo apt-get install bubblewrap`/);

  delete project.environment.PATH;
  delete project.environment.TEMPORAL_CLI_PATH;
  expect((await project.run("worker", "down")).code).toBe(0);
  expect((await project.run("retry")).code).toBe(0);
  expect((await project.json<PipelineStatus>("status", "-w")).state).toBe("done");
}, LIMIT_MS);

test("an upstream artifact by digest can stand in for a stage that fails", async () => {
  const donor = await project.json<PipelineStatus>("status"); // of the evaluation above
  expect(donor.name).toBe("scores");
  const tree = join(recipes, "nowhere");
  const { code } = await project.run("run", treeRecipe("skipped", tree));
  expect(code).toBe(3);
  const corpus = (await project.json<{ runId: string; name: string }[]>("runs")).find(({ name }) => name === "missing")!.runId;
  expect(await project.run("skip", "corpus", "--artifact", `corpus.documents@${corpus}`)).toMatchObject({ code: 0 });
  const status = await project.json<PipelineStatus>("status", "-w");
  expect(status.stages.map(({ id, state }) => `${id} ${state}`)).toEqual(["corpus skipped", "tokenize cached"]);
}, LIMIT_MS);

const smallDisk = mkdtempSync(join(tmpdir(), "diffucoder-disk-"));
const isMounted = process.getuid?.() === 0 && spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", smallDisk]).status === 0;
afterAll(() => {
  if (isMounted) spawnSync("umount", ["-l", smallDisk]);
  rmSync(smallDisk, { recursive: true, force: true });
});

test.skipIf(!isMounted)("a full disk parks the run and leaves nothing half-written; with room again it ends", async () => {
  const root = mkdtempSync(join(tmpdir(), "diffucoder-test-"));
  symlinkSync(smallDisk, join(root, "store"));
  const cramped = new Project(root);
  try {
    mkdirSync(join(smallDisk, "blobs"), { recursive: true });
    const filler = join(smallDisk, "filler");
    const free = (): number => Number(spawnSync("df", ["--output=avail", "-B1", smallDisk], { encoding: "utf8" }).stdout.trim().split("\n").at(-1));
    writeFileSync(filler, Buffer.alloc(free() - 40_000));
    const parked = await cramped.run("run", treeRecipe("cramped", join(ROOT, "test/fixtures/library")), "-o", "json");
    expect(parked.code).toBe(3);
    expect(parked.stderr).toMatch(/is parked after DiskFull: .*expected room to write, found a full disk\. Free some space, then `diffucoder retry`\./);
    expect((await cramped.json<{ damaged: unknown[] }>("lineage", "verify")).damaged).toEqual([]);

    rmSync(filler);
    expect((await cramped.run("retry")).code).toBe(0);
    expect((await cramped.json<PipelineStatus>("status", "-w")).state).toBe("done");
    expect((await cramped.json<{ damaged: unknown[] }>("lineage", "verify")).damaged).toEqual([]);
  } finally {
    await cramped.close();
  }
}, LIMIT_MS);
