// The benchmarks' own solutions in the sandbox, and programs that must not pass: DIFFUCODER_DATA=FOLDER npm run test:interop
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { createSandbox, type Sandbox, type SandboxJob } from "@diffucoder/sandbox";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const DATA = process.env.DIFFUCODER_DATA ?? "";
const HUMANEVAL = join(DATA, "humaneval/HumanEval.jsonl.gz");
const MBPP = join(DATA, "mbpp/mbpp.jsonl");

interface HumanEvalRow {
  readonly task_id: string;
  readonly prompt: string;
  readonly canonical_solution: string;
  readonly test: string;
  readonly entry_point: string;
}

interface MbppRow {
  readonly task_id: number;
  readonly code: string;
  readonly test_setup_code: string;
  readonly test_list: readonly string[];
}

const rowsOf = <Row>(text: string): Row[] => text.trim().split("\n").map((line) => JSON.parse(line) as Row);

let sandbox: Sandbox;
beforeAll(async () => void (sandbox = await createSandbox({ workers: 2, limits: { wallMs: 20_000, cpuSeconds: 10 } })));
afterAll(() => sandbox.close());

/** Ids of the jobs that did not pass, with status and cause. */
async function failuresOf(jobs: readonly { id: string; job: SandboxJob }[]): Promise<string[]> {
  const verdicts = await Promise.all(jobs.map(({ job }) => sandbox.run(job)));
  return verdicts.flatMap(({ status, cause }, i) => (status === "passed" ? [] : [`${jobs[i]!.id}: ${status}, ${cause}`]));
}

describe.skipIf(!existsSync(HUMANEVAL))("HumanEval", () => {
  const rows = existsSync(HUMANEVAL) ? rowsOf<HumanEvalRow>(gunzipSync(readFileSync(HUMANEVAL)).toString()) : [];
  // Some tests call helpers that the prompt defines: they get them from the reference.
  const jobOf = ({ prompt, canonical_solution: solution, test, entry_point: entryPoint }: HumanEvalRow, body: string): SandboxJob => ({
    candidate: prompt + body,
    checks: [`${prompt}${solution}\n${test}\ncheck(__candidate__(${JSON.stringify(entryPoint)}))`],
    entryPoints: [],
  });

  it("passes all 164 canonical solutions", async () => {
    expect(rows).toHaveLength(164);
    expect(await failuresOf(rows.map((row) => ({ id: row.task_id, job: jobOf(row, row.canonical_solution) })))).toEqual([]);
  });

  it("passes none of 164 empty bodies, nor of 164 answers that are equal to everything", async () => {
    const sly = "    class Equal:\n        __eq__ = __ge__ = __le__ = lambda self, other: True\n        __hash__ = lambda self: 0\n    return Equal()\n";
    for (const body of ["    pass\n", sly]) {
      expect(await failuresOf(rows.map((row) => ({ id: row.task_id, job: jobOf(row, body) })))).toHaveLength(164);
    }
  });
});

describe.skipIf(!existsSync(MBPP))("MBPP", () => {
  const rows = existsSync(MBPP) ? rowsOf<MbppRow>(readFileSync(MBPP, "utf8")) : [];
  const namesOf = (code: string): string[] => [...code.matchAll(/^(?:def|class)\s+(\w+)/gm)].map(([, name]) => name!);
  // Tests may use what the solution imports.
  const importsOf = (code: string): string => (code.match(/^(?:import|from) .*$/gm) ?? []).join("\n");

  it("passes all 974 reference solutions, also where tests make objects of a class or pass a type", async () => {
    const failures = await failuresOf(
      rows.map(({ task_id: id, code, test_setup_code: setup, test_list: tests }) => ({
        id: String(id),
        job: { candidate: code, checks: tests.map((test) => `${importsOf(code)}\n${setup}\n${test}`), entryPoints: namesOf(code) },
      })),
    );
    expect(rows).toHaveLength(974);
    expect(failures).toEqual([]);
  });
});
