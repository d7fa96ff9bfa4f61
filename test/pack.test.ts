// What is published works where it is installed: every package packed, laid into an empty project, and run on plain Node.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { PipelineStatus } from "@diffucoder/orchestrator";
import { ROOT, TINY } from "./support/project.ts";

const LIMIT_MS = 600_000;
const project = mkdtempSync(join(tmpdir(), "diffucoder-installed-"));
const modules = join(project, "node_modules");
const environment = { ...process.env, NX_DAEMON: "false", DIFFUCODER_HOME: join(project, "home") };

function run(command: string, args: readonly string[], cwd: string) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", env: environment, maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit code ${status}\n${stdout}\n${stderr}`);
  return stdout;
}

const diffucoder = (...args: readonly string[]): string => run(process.execPath, [join(modules, "@diffucoder/cli/bin/diffucoder.js"), ...args], project);

afterAll(() => {
  if (existsSync(join(modules, "@diffucoder/cli"))) diffucoder("server", "down");
  rmSync(project, { recursive: true, force: true, maxRetries: 5 });
}, LIMIT_MS);

const isPrivate = (folder: string): boolean => (JSON.parse(readFileSync(join(ROOT, "packages", folder, "package.json"), "utf8")) as { private?: boolean }).private === true;

/** Unpacks the package's tarball. What it depends on is linked, not fetched again: those are others' packages. */
function install(folder: string): void {
  const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project, join(ROOT, "packages", folder)], ROOT)) as [{ filename: string }];
  const target = join(modules, "@diffucoder", folder);
  mkdirSync(target, { recursive: true });
  run("tar", ["-xzf", join(project, filename), "--strip-components=1", "-C", target], project);
  const own = join(ROOT, "packages", folder, "node_modules");
  if (existsSync(own)) symlinkSync(own, join(target, "node_modules"));
}

test("the packages run the tiny pipeline where they are installed, from what was compiled", () => {
  run(process.execPath, [join(ROOT, "node_modules/nx/dist/bin/nx.js"), "run-many", "--targets=build"], ROOT);
  mkdirSync(modules);
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    if (!name.startsWith(".") && name !== "@diffucoder") symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  for (const folder of readdirSync(join(ROOT, "packages"))) if (!isPrivate(folder)) install(folder);
  for (const folder of readdirSync(join(modules, "@diffucoder"))) {
    const shipped = readdirSync(join(modules, "@diffucoder", folder), { recursive: true, encoding: "utf8" });
    expect(shipped.filter((name) => name.startsWith("dist/") && /\.test\.|testing/.test(name))).toEqual([]);
    expect(shipped).toEqual(expect.arrayContaining(["README.md", "CHANGELOG.md", "package.json", "dist/index.js", "dist/index.d.ts"]));
  }
  const status = JSON.parse(diffucoder("run", TINY, "-o", "json")) as PipelineStatus;
  expect(status.stages.map(({ state }) => state)).toEqual(Array.from({ length: 8 }, () => "done"));
  expect(diffucoder("--version")).toBe("0.1.0\n");
}, LIMIT_MS);
