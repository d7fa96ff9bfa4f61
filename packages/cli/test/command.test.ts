// The command as a shell sees it: exit codes, streams, and what needs no run.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "@diffucoder/lineage";
import type { Command } from "commander";
import { afterAll, expect, test } from "vitest";
import { createCommand } from "../src/command.ts";

const folder = mkdtempSync(join(tmpdir(), "diffucoder-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

function diffucoder(...args: string[]) {
  const bin = join(import.meta.dirname, "../bin/diffucoder.js");
  return spawnSync(process.execPath, [bin, ...args], { encoding: "utf8", cwd: folder, env: { ...process.env, DIFFUCODER_HOME: folder } });
}

function writeRecipe(text: string): string {
  const path = join(folder, "recipe.yaml");
  writeFileSync(path, text);
  return path;
}

test("help and version go to standard output", () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")) as { version: string };
  expect(diffucoder("--version")).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: "" });
  const help = diffucoder("--help").stdout;
  for (const verb of ["run", "status", "runs", "logs", "retry", "skip", "abort", "pause", "resume", "cancel", "explain", "why", "lineage", "export", "generate", "eval", "analyze", "gc", "server", "worker", "doctor"]) {
    expect(help).toMatch(new RegExp(`^ {2}${verb} `, "m"));
  }
  for (const words of ["Runs:\n  run ", "DIFFUCODER_HOME points", "STAGE.OUTPUT@RUN"]) expect(help).toContain(words);
});

test("each verb says what its arguments and options are", () => {
  const described = (command: Command): void => {
    for (const { description } of [...command.registeredArguments, ...command.options]) expect(description, command.name()).not.toBe("");
    expect(command.description()).not.toBe("");
    expect(command.helpInformation()).not.toContain("default: [");
    command.commands.forEach(described);
  };
  described(createCommand());
});

test.each([
  [["nonsense"], /unknown command 'nonsense'/],
  [["run"], /missing required argument 'recipe'/],
  [["run", "x.yaml", "--seed", "-1"], /--seed <n>.*expected a whole number, 0 or more/],
  [["run", "x.yaml", "--seed", ""], /expected a whole number/],
  [["status", "-o", "xml"], /Allowed choices are text, json/],
  [["worker", "up", "--queue", "gpu"], /Allowed choices are control, cpu, train/],
  [["abort"], /required option '--reason <text>' not specified/],
  [["generate", "abcdef", "--prompt", "x", "--steps", "0"], /expected a whole number above 0/],
  [["generate", "abcdef", "--prompt", "x", "--temperature", "-1"], /expected a number, 0 or more/],
  [["export", "abcdef", "x", "--layout", "qwen2", "--max-shard-size", "0"], /--max-shard-size <GB>.*expected a number above 0/],
  [["generate", "abcdef"], /^Usage: generate: expected --prompt, or --prefix and perhaps --suffix, found neither/],
  [["generate", "abcdef", "--suffix", "x"], /^Usage: generate: expected --prompt/],
  [["generate", "abcdef", "--prompt", "x", "--prefix", "y"], /'--prefix <text>' cannot be used with option '--prompt <text>'/],
  [["generate", "abcdef", "--prompt", "x", "--factor", "1", "--threshold", "0.9"], /'--factor <f>' cannot be used with option '--threshold <p>'/],
  [["generate", "abcdef", "--prompt", "x", "--cache", "all"], /Allowed choices are prefix, dual/],
  [["card", "croissant", "abcdef", "--name", "x", "--url", "y"], /required option '--creator <name>' not specified/],
  [["skip", "corpus"], /required option '--artifact <\[output=\]artifact>' not specified/],
  [["run", writeRecipe("seed: -1\nstages: []\n")], /^InvalidRecipe: .*recipe\.yaml: 3 problems\n {2}name: expected string, found nothing\n {2}line 1, seed: too small: expected number to be >=0, found -1\n {2}line 2, stages: too small: expected array to have >=1 items, found \[\]\n$/],
  [["retry", "corpus", "--set", "steps=3"], /^Usage: --set steps=3: expected recipe\.KEY=VALUE/],
  [["run", "nope.yaml"], /^InvalidRecipe: nope\.yaml: expected a pipeline file, found none \(ENOENT\)/],
])("a wrong command line gives exit code 2: %j", (args, message) => {
  const { status, stdout, stderr } = diffucoder(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(message);
});

test("without a run there is nothing to ask about, which is no usage error", () => {
  expect(diffucoder("runs")).toMatchObject({ status: 0, stdout: "no runs yet\n" });
  expect(diffucoder("runs", "-o", "json")).toMatchObject({ status: 0, stdout: "[]\n" });
  expect(diffucoder("status")).toMatchObject({ status: 1, stdout: "", stderr: expect.stringMatching(/^NoRuns: .*expected a run, found none\. `diffucoder run RECIPE` starts one\./) });
  expect(diffucoder("status", "-r", "tiny-000000")).toMatchObject({ status: 1, stderr: expect.stringMatching(/^RunUnknown: run tiny-000000/) });
  expect(diffucoder("lineage", "show", "abcdef")).toMatchObject({ status: 1, stderr: expect.stringMatching(/^ArtifactMissing: /) });
  expect(diffucoder("server", "status", "-o", "json").stdout).toBe(`${JSON.stringify({ kind: "embedded", isUp: false }, null, 2)}\n`);
  expect(diffucoder("worker", "status")).toMatchObject({ status: 0, stdout: "no workers\n" });
});

test("a home that cannot be is refused at once", () => {
  const bin = join(import.meta.dirname, "../bin/diffucoder.js");
  const inHome = (home: string) => spawnSync(process.execPath, [bin, "runs"], { encoding: "utf8", timeout: 20_000, env: { ...process.env, DIFFUCODER_HOME: home } });
  for (const home of ["/proc/none/home", "/dev/null/home"]) {
    const { status, stdout, stderr } = inHome(home);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^FolderUnusable: ${home}/store: expected a folder, or a place to make one, found .*\\. Name another one\\.\n$`));
  }
});

test("gc shows what no record leads to before it removes it", async () => {
  const store = await openStore(join(folder, "store"));
  const { sha256 } = await store.blobs.putBytes(Buffer.from("left behind"));
  expect(diffucoder("gc", "--plan")).toMatchObject({ status: 0, stdout: expect.stringContaining(sha256), stderr: "1 blobs, 11 B: would be removed\n" });
  expect(await store.blobs.stat(sha256)).toBe(11);
  expect(diffucoder("gc")).toMatchObject({ status: 0, stderr: "1 blobs, 11 B: removed\n" });
  expect(await store.blobs.stat(sha256)).toBeUndefined();
  expect(diffucoder("gc", "--plan", "-o", "json")).toMatchObject({ status: 0, stdout: "[]\n" });
});

test("the doctor names what is missing and gives exit code 5", () => {
  const env = { ...process.env, DIFFUCODER_HOME: folder, TEMPORAL_CLI_PATH: join(folder, "none") };
  const bin = join(import.meta.dirname, "../bin/diffucoder.js");
  const { status, stdout } = spawnSync(process.execPath, [bin, "doctor", "-o", "json"], { encoding: "utf8", env });
  const findings = Object.fromEntries((JSON.parse(stdout) as { subject: string; state: string; found: string }[]).map(({ subject, ...rest }) => [subject, rest]));
  expect(findings.temporal).toMatchObject({ state: "missing", found: expect.stringContaining("npm run setup") });
  expect(findings.node).toEqual({ state: "ok", found: process.version });
  expect(findings.server).toMatchObject({ state: "note" });
  expect(Object.keys(findings)).toEqual(["node", "backend", "temporal", "sandbox", "pip", "server", "workers", "disk"]);
  expect(status).toBe(5);
});

test("the doctor says which variable makes the backend slow", () => {
  const env = { ...process.env, DIFFUCODER_HOME: folder, DIFFUCODER_BACKEND: "wasm" };
  const { stdout } = spawnSync(process.execPath, [join(import.meta.dirname, "../bin/diffucoder.js"), "doctor"], { encoding: "utf8", env });
  expect(stdout).toMatch(/^backend +note +wasm, .*; DIFFUCODER_BACKEND=wasm demands it: about 20 times slower than the native backend, .*Unset it/m);
});

test("a reader that has seen enough is no failure", () => {
  const bin = join(import.meta.dirname, "../bin/diffucoder.js");
  const script = `"${process.execPath}" "${bin}" --help | head -1; echo "\${PIPESTATUS[0]}"`;
  writeFileSync(join(folder, "script.sh"), script);
  expect(spawnSync("bash", [join(folder, "script.sh")], { encoding: "utf8" }).stdout).toMatch(/^Usage: .*\n0\n$/);
});
