import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AnalysedSample, Evaluation, EvaluationSource } from "../src/analysis/read-evaluation.ts";

export const DECODING = { canvasLength: 16, steps: 4, algorithm: "maskgit_plus", topP: 1 } as const;

/** An answer of four positions, fixed from left to right, one a step. */
export function sample(changes: Partial<AnalysedSample> = {}): AnalysedSample {
  return {
    checkpoint: "candidate",
    benchmark: "held-out",
    task_id: "a",
    temperature: 0,
    sample: 0,
    seed: 7,
    passed: true,
    answerTokens: 3,
    order: [0, 1, 2, 3],
    trace: [0, 1, 2, 3],
    confidences: [1, 0.5, 0.5, 0],
    ...changes,
  };
}

const checkpoint = (role: "baseline" | "candidate") => ({ role, stage: role === "baseline" ? "instruction-tuning" : "coupled-grpo", step: 5, digest: (role === "baseline" ? "b" : "c").repeat(64) });

export function evaluation(samples: readonly AnalysedSample[], changes: Partial<Evaluation> & { readonly steps?: number } = {}): Evaluation {
  const { steps = DECODING.steps, ...rest } = changes;
  const roles = (["baseline", "candidate"] as const).filter((role) => samples.some(({ checkpoint: each }) => each === role));
  return { name: "evaluation.report@run-1", seed: 7, benchmarks: [{ name: "held-out", decoding: { ...DECODING, steps } }], checkpoints: roles.map(checkpoint), samples, ...rest };
}

/** Six tasks, which the candidate solves more often and from left to right, the baseline from right to left. */
export function bothCheckpoints(steps = 4): Evaluation {
  const samples = (["baseline", "candidate"] as const).flatMap((role) =>
    [0, 0.5].flatMap((temperature) =>
      Array.from({ length: temperature === 0 ? 1 : 2 }, (_, index) => index).flatMap((index) =>
        ["a", "b", "c", "d", "e", "f"].map((task_id, task) => {
          const order = role === "candidate" ? [0, 1, 2, 3] : [3, 2, 1, 0];
          const trace = [0, 1, 2, 3].map((position) => Math.floor((order.indexOf(position) * steps) / 4));
          const firstEntropies = temperature === 0 ? [0, 1, 2, 2] : undefined;
          return sample({ checkpoint: role, ...(firstEntropies === undefined ? {} : { firstEntropies }), task_id, temperature, sample: index, order, trace, passed: role === "candidate" ? task + index > 0 && steps === 4 : task === 5 });
        }),
      ),
    ),
  );
  return evaluation(samples, { steps, name: `evaluation.report@run-${steps}` });
}

/** Writes an evaluation as its artifact lies on disk. */
export function writeEvaluation({ name, samples, ...report }: Evaluation, folder: string = mkdtempSync(join(tmpdir(), "analysis-"))): EvaluationSource {
  mkdirSync(folder, { recursive: true });
  const source = { name, reportPath: join(folder, "report.json"), samplesPath: join(folder, "samples.jsonl") };
  writeFileSync(source.reportPath, JSON.stringify(report));
  writeFileSync(source.samplesPath, samples.map((each) => `${JSON.stringify(each)}\n`).join(""));
  return source;
}
