// BigCodeBench's own solutions, as far as they need the standard library alone: DIFFUCODER_DATA=FOLDER npm run test:interop
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createSandbox } from "@diffucoder/sandbox";
import { readBenchmark, scoreSamples, type Sample } from "@diffucoder/tasks";
import { describe, expect, it } from "vitest";

const FILE = join(process.env.DIFFUCODER_DATA ?? "", "bigcodebench/BigCodeBench.hf_data-2024-06.jsonl.gz");
const LIMIT_MS = 900_000;

/** Tasks whose solutions cannot pass here, by what the sandbox has not. */
const EXPLAINED = {
  "a network, if only a loopback": [147, 176, 314, 1005, 1038, 1040],
  "a `python` on its path": [1101, 1103, 1104],
  "folders in which programs may be executed": [459],
  "packages besides the standard library, to list them": [541],
  tkinter: [220],
};

describe.skipIf(!existsSync(FILE))("BigCodeBench", () => {
  it("passes its own solutions, and none that answers nothing", async () => {
    const benchmark = await readBenchmark("bigcodebench", FILE);
    const sandbox = await createSandbox({ workers: 2 });
    try {
      const samplesOf = (textOf: (task: (typeof benchmark.tasks)[number]) => string) => benchmark.tasks.map((task): Sample => ({ taskId: task.id, form: "solution", text: textOf(task), where: task.id }));
      const right = await scoreSamples({ sandbox, benchmark, samples: samplesOf(({ solution }) => solution), ks: [1], seed: 1 });
      const failed = right.results.flatMap(({ task, judgement, missing }) => (judgement.status === "passed" || missing.length > 0 ? [] : [Number(task.id.split("/")[1])]));
      expect(benchmark.tasks.length - right.counts.tasksSkipped).toBe(300);
      expect(failed).toEqual(Object.values(EXPLAINED).flat().sort((a, b) => a - b));
      const wrong = await scoreSamples({ sandbox, benchmark, samples: samplesOf(({ completionPrefix }) => `${completionPrefix}    return None\n`), ks: [1], seed: 1 });
      expect(wrong.results.filter(({ judgement }) => judgement.status === "passed").map(({ task }) => task.id)).toEqual([]);
    } finally {
      await sandbox.close();
    }
  }, LIMIT_MS);
});
