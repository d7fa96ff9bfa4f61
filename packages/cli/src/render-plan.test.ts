import { expect, test } from "vitest";
import { renderPlan } from "./render-plan.ts";

test("a plan shows what each stage would take and what it would find", () => {
  const stages = [
    { id: "corpus", state: "refused", reason: "card x: expected a directory", plan: {} },
    { id: "tokenize", state: "cached", plan: { notes: ["uses the given vocabulary"] } },
    { id: "pretraining", state: "runs", plan: { tokens: 65.536e9, flops: 3e21, parameterCount: 7.62e9, peakMemoryBytes: 1.2e11 } },
    { id: "annealing", state: "waits", plan: { flops: 1e21 } },
  ];
  expect(renderPlan({ name: "paper", seed: 42, stages }, 1e11)).toBe(
    `plan of paper, seed 42; nothing was started

stage        now              parameters  tokens       FLOPs  peak memory
corpus       cannot run                -       -           -            -
tokenize     cached                    -       -           -            -
pretraining  would run            7.62 G  65.5 G  3.00 ZFLOP       120 GB
annealing    after the above           -       -  1.00 ZFLOP            -

together 4.00 ZFLOP; memory is that of one process in fp32 with optimizer and activations
corpus: card x: expected a directory
tokenize: uses the given vocabulary
pretraining: expected at most 100 GB of memory, all of this machine's, found 120 GB`,
  );
});
