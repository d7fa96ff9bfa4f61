// Verdicts beside those of the `evalplus.evaluate` command: DIFFUCODER_DATA=FOLDER npm run test:interop
// EvalPlus runs programs in its own process without isolation, so only references and mutants of references are compared.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { createSandbox, type Sandbox } from "@diffucoder/sandbox";
import { readBenchmark, scoreSamples, writeEvalPlusFiles, type BenchmarkName, type ScoredSamples } from "@diffucoder/tasks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mutate } from "./evalplus-mutants.ts";
import { pythonPeer } from "./peers.ts";

const EVALPLUS = "0.3.1";
const DATA = process.env.DIFFUCODER_DATA ?? "";
const LIMIT_MS = 900_000;

/** Of each benchmark every so many tasks, and those that evalplus treats in a way of its own. */
const SETS = [
  { name: "humaneval+", dataset: "humaneval", file: join(DATA, "evalplus/HumanEvalPlus.jsonl.gz"), every: 2, always: [32], override: "HUMANEVAL_OVERRIDE_PATH" },
  { name: "mbpp+", dataset: "mbpp", file: join(DATA, "evalplus/MbppPlus.jsonl.gz"), every: 3, always: [2, 7, 111, 140, 164, 232, 249, 295, 404, 558, 579, 581, 737, 769, 787, 794], override: "MBPP_OVERRIDE_PATH" },
] as const;

/** Tasks on which the sides are known to differ, with the reasons. */
const EXPLAINED: Readonly<Record<string, string>> = {
  "HumanEval/32": "evalplus 0.3.1 passes nobody: its loop leaves the special case without counting the input, and a count that falls short is a failure",
  "Mbpp/793": "has no plus inputs: evalplus lets pass by them whatever loads, we judge by the base inputs again; as both sides count them only together, the score is the same",
};

interface EvalPlusResult {
  readonly solution: string;
  readonly base_status: string;
  readonly plus_status: string;
}

const folder = mkdtempSync(join(tmpdir(), "diffucoder-evalplus-"));
let sandbox: Sandbox;
beforeAll(async () => void (sandbox = await createSandbox({ workers: 2 })));
afterAll(async () => {
  await sandbox.close();
  rmSync(folder, { recursive: true });
});

describe.skipIf(SETS.some(({ file }) => !existsSync(file)))("evalplus", () => {
  let compared = 0;

  it.each(SETS)("$name: verdicts agree, and our results are read as its own", async ({ name, dataset, file, every, always, override }) => {
    const data = join(folder, `${dataset}.jsonl`);
    writeFileSync(data, subsetOf(file, every, always));
    const benchmark = await readBenchmark(name as BenchmarkName, data);
    const samples = benchmark.tasks.flatMap(({ id, solution, completionPrefix }, index) =>
      [solution, completionPrefix + mutate(solution.slice(completionPrefix.length), index)].map((text) => ({ taskId: id, form: "solution" as const, text, where: id })),
    );
    const scored = await scoreSamples({ sandbox, benchmark, samples, ks: [1, 2], seed: 1 });
    const programs = scored.results.map(({ task, program, judgement }) => ({ taskId: task.id, program, suites: judgement.status === null ? {} : judgement.suites }));

    const theirs = join(folder, dataset, "theirs");
    mkdirSync(theirs, { recursive: true });
    await writeEvalPlusFiles(theirs, "samples", { benchmark, programs, date: "2025-06-30 12:00" });
    // With our results in place it takes them as its own.
    const own = evaluate(dataset, join(theirs, "samples.jsonl"), { [override]: data });
    expect(own).toContain("Load from previous results");
    expect(passAt1Of(own)).toEqual([scored.basePassAtK!, scored.passAtK].map(([pass1]) => pass1!.mean.toFixed(3)));
    // Without them it runs the samples itself.
    rmSync(join(theirs, "samples_eval_results.json"));
    evaluate(dataset, join(theirs, "samples.jsonl"), { [override]: data });
    const { eval: results } = JSON.parse(readFileSync(join(theirs, "samples_eval_results.json"), "utf8")) as { eval: Record<string, EvalPlusResult[]> };
    const differences = differencesOf(scored, results);
    const verdicts = scored.results.length;
    compared += verdicts;
    const passing = scored.results.filter(({ judgement }) => judgement.status === "passed").length;
    console.log(`${name}: ${verdicts} programs of ${benchmark.tasks.length} tasks, ${passing} pass; ${2 * verdicts - differences.length} of ${2 * verdicts} verdicts agree${differences.map((difference) => `\n  ${difference}`).join("")}`);
    expect(passing).toBeGreaterThan(verdicts / 3);
    expect(passing).toBeLessThan((9 * verdicts) / 10);
    expect(differences.filter((difference) => EXPLAINED[difference.split(" ")[0]!] === undefined)).toEqual([]);
  }, LIMIT_MS);

  it("was asked about at least 400 programs", () => expect(compared).toBeGreaterThanOrEqual(400));
});

function subsetOf(file: string, every: number, always: readonly number[]): string {
  const lines = gunzipSync(readFileSync(file)).toString().trim().split("\n");
  return lines.filter((line, index) => index % every === 0 || always.some((number) => new RegExp(`"task_id":\\s*"\\w+/${number}"`).test(line))).join("\n");
}

/** What the command prints. */
function evaluate(dataset: string, samples: string, env: Readonly<Record<string, string>>): string {
  const python = pythonPeer(`evalplus-${EVALPLUS}`, [`evalplus==${EVALPLUS}`]);
  // Later versions give every call at least four seconds, as we do; this one gives one.
  return execFileSync(python, ["-m", "evalplus.evaluate", "--dataset", dataset, "--samples", samples, "--min_time_limit", "4", "--parallel", "2"], {
    env: { ...process.env, XDG_CACHE_HOME: join(folder, "cache"), ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
}

/** pass@1 by the base tests, and by all, in the order in which evalplus prints them. */
function passAt1Of(output: string): string[] {
  return [...output.matchAll(/pass@1:\s+([\d.]+)/g)].map(([, value]) => value!);
}

/** Suites on which one side lets a program pass and the other does not; the ways of not passing are not compared. */
function differencesOf({ results }: ScoredSamples, theirs: Readonly<Record<string, readonly EvalPlusResult[]>>): string[] {
  const seen = new Map<string, number>();
  return results.flatMap(({ task: { id }, program, judgement }) => {
    const index = seen.get(id) ?? 0;
    seen.set(id, index + 1);
    const their = theirs[id]![index]!;
    expect(their.solution).toBe(program);
    return (["base", "plus"] as const).flatMap((suite) => {
      const our = judgement.status === null ? undefined : judgement.suites[suite];
      const theirStatus = their[`${suite}_status`];
      return (our?.status === "passed") === (theirStatus === "pass") ? [] : [`${id} ${index === 0 ? "reference" : "mutant"} ${suite}: ours ${our?.status} (${our?.cause}), evalplus ${theirStatus}`];
    });
  });
}
