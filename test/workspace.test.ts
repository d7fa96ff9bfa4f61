// What holds of every package, and of the workspace as a whole.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { loadRegistry, planPipeline, readPipeline } from "@diffucoder/orchestrator";
import { ROOT } from "./support/project.ts";

const packages = readdirSync(join(ROOT, "packages")).map((folder) => ({
  folder,
  manifest: JSON.parse(readFileSync(join(ROOT, "packages", folder, "package.json"), "utf8")) as {
    name: string;
    version: string;
    private?: boolean;
    description: string;
    license: string;
    dependencies?: Record<string, string>;
    nx: { tags: string[] };
  },
}));

const published = packages.filter(({ manifest }) => manifest.private !== true);

const LAYERS: Readonly<Record<string, readonly string[]>> = {
  "layer:foundation": ["lineage", "formats", "random", "sandbox"],
  "layer:library": ["tokenizer", "model", "engine", "tasks"],
  "layer:test-kit": ["test-kit"],
  "layer:training": ["training"],
  "layer:stage": ["corpus", "pretraining", "annealing", "instruction-tuning", "coupled-grpo", "evaluation", "hugging-face"],
  "layer:app": ["orchestrator", "cli"],
};

test("every package is in its layer", () => {
  const found = packages.flatMap(({ folder, manifest }) => manifest.nx.tags.filter((tag) => tag.startsWith("layer:")).map((tag) => `${tag} ${folder}`)).sort();
  expect(found).toEqual(Object.entries(LAYERS).flatMap(([tag, folders]) => folders.map((folder) => `${tag} ${folder}`)).sort());
});

test.each(published)("$folder has a version, a changelog that tells of it, and a README that says what it is", ({ folder, manifest }) => {
  const read = (name: string): string => readFileSync(join(ROOT, "packages", folder, name), "utf8");
  expect(manifest.name).toBe(`@diffucoder/${folder}`);
  expect(manifest.license).toBe("Apache-2.0");
  expect(read("CHANGELOG.md")).toContain(`## ${manifest.version}`);
  expect(read("README.md").split("\n")[0]).toBe(`# ${manifest.name}`);
  const versions = new Map(packages.map((other) => [other.manifest.name, other.manifest.version]));
  for (const [name, version] of Object.entries(manifest.dependencies ?? {})) if (versions.has(name)) expect(`${name} ${version}`).toBe(`${name} ${versions.get(name)}`);
});

const nx = join(ROOT, "node_modules/nx/dist/bin/nx.js");
const runNx = (...args: readonly string[]) => spawnSync(process.execPath, [nx, ...args], { cwd: ROOT, encoding: "utf8", env: { ...process.env, NX_DAEMON: "false", CI: "true" } });

// Without a project graph the rule lets everything pass.
beforeAll(() => {
  expect(runNx("show", "projects").status).toBe(0);
}, 60_000);

/** What lint says of a text as if it were a file of the package. */
function lint(folder: string, source: string, path = "src/an-import.ts"): string[] {
  const file = join(ROOT, "packages", folder, path);
  const eslint = join(ROOT, "node_modules/eslint/bin/eslint.js");
  const args = [eslint, "--format", "json", "--stdin", "--stdin-filename", file];
  const { stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8", input: source, env: { ...process.env, NX_DAEMON: "false" } });
  const [result] = JSON.parse(stdout) as [{ messages: { ruleId: string; message: string }[] }];
  return result.messages.map(({ ruleId, message }) => `${ruleId}: ${message}`);
}

test.each([
  ["a foundation package", "sandbox", "@diffucoder/tokenizer"],
  ["a library", "model", "@diffucoder/corpus"],
  ["a stage", "annealing", "@diffucoder/pretraining"],
  ["a judge", "evaluation", "@diffucoder/training"],
  ["what is published", "training", "@diffucoder/test-kit"],
  ["the test kit", "test-kit", "@diffucoder/corpus"],
])("%s may not import upwards or sideways: %s -> %s is refused", (_, folder, forbidden) => {
  expect(lint(folder, `export * as forbidden from "${forbidden}";\n`)).toEqual([expect.stringMatching(/^@nx\/enforce-module-boundaries: A project tagged with ".*" can (only|not) depend on libs tagged with/)]);
});

test("an import downwards passes the same rule", () => {
  expect(lint("annealing", 'export * as allowed from "@diffucoder/training";\n')).toEqual([]);
});

test.each(["src/an-import.test.ts", "test/an-import.ts"])("in training's %s the test kit may be imported, a stage may not", (path) => {
  expect(lint("training", 'export * as allowed from "@diffucoder/test-kit";\n', path)).toEqual([]);
  expect(lint("training", 'export * as forbidden from "@diffucoder/pretraining";\n', path)).toHaveLength(1);
});

test("a release of one package is tagged with its name and version, without a network", () => {
  const { status, stdout, stderr } = runNx("release", "patch", "--dry-run", "--skip-publish", "--first-release", "--projects=@diffucoder/random");
  expect(`${status} ${status === 0 ? "" : stdout + stderr}`).toBe("0 ");
  expect(stdout + stderr).toMatch(/0\.1\.0.*0\.1\.1/s);
  expect(stdout + stderr).toContain("@diffucoder/random@0.1.1");
});

test("a release of everything leaves out what is private", () => {
  const { stdout, stderr } = runNx("release", "patch", "--dry-run", "--skip-publish", "--first-release");
  const written = (stdout + stderr).matchAll(/New version .* written to manifest: packages\/(.*)\/package\.json/g);
  expect([...new Set([...written].map(([, folder]) => folder))].sort()).toEqual(published.map(({ folder }) => folder).sort());
});

const recipes = readdirSync(join(ROOT, "pipelines")).filter((name) => name.endsWith(".yaml"));

test.each(recipes)("pipelines/%s is valid", async (name) => {
  const { stages } = await readPipeline(join(ROOT, "pipelines", name), await loadRegistry());
  expect(new Set(stages.map(({ uses }) => uses))).toEqual(new Set(["corpus", "tokenize", "pretraining", "annealing", "instruction-tuning", "coupled-grpo", "evaluation"]));
});

test("the paper's recipe is planned with the paper's sizes", async () => {
  const registry = await loadRegistry();
  const plans = await planPipeline(await readPipeline(join(ROOT, "pipelines/diffucoder-7b.yaml"), registry), registry);
  const { parameterCount, tokens, flops, peakMemoryBytes } = plans.get("pretraining")!;
  expect(parameterCount! / 1e9).toBeCloseTo(7.62, 2); // Qwen2.5-7B
  expect(tokens).toBe(100_000 * 160 * 4096); // 65 billion
  expect(flops! / tokens! / 6 / 7.07e9).toBeCloseTo(1.1, 1); // 6 N a token without the embedding, and attention's tenth
  expect(peakMemoryBytes).toBeGreaterThan(16 * parameterCount!);
  expect(plans.get("annealing")!.tokens! / 1e9).toBeCloseTo(65, 0);
  expect(plans.get("instruction-tuning")!.tokens! / 1e9).toBeCloseTo(4.46, 1);
});

test("the tiers of peers and soaks stay out of the tests of this folder", () => {
  const nx = JSON.parse(readFileSync(join(ROOT, "nx.json"), "utf8")) as { targetDefaults: { test: { command: string } } };
  const list = nx.targetDefaults.test.command.replace("vitest run", "vitest list --filesOnly").replace("{projectRoot}", "test").replace(/ --reporter.*/, "");
  const { stdout } = spawnSync(join(ROOT, "node_modules", ".bin", list.split(" ")[0]!), [list.slice("vitest ".length)], { cwd: ROOT, encoding: "utf8", shell: true });
  expect(stdout.trim().split("\n").sort()).toEqual(["test/faults.test.ts", "test/pack.test.ts", "test/readme.test.ts", "test/tiny.test.ts", "test/workspace.test.ts"]);
});
