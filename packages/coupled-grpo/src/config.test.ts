import { expect, test } from "vitest";
import { executionSchema, recipeSchema } from "./config.ts";

test("a recipe of nothing but its rounds is the corrected preset on the paper's numbers at quickstart size", () => {
  expect(recipeSchema.parse({ rounds: 3 })).toEqual({
    preset: "corrected",
    tasks: { families: ["named"], count: 128 },
    start: { rule: "final" },
    canvasLength: 64,
    rounds: 3,
    updatesPerRound: 2,
    tasksPerRound: 8,
    groupSize: 8,
    rollout: { steps: 24, algorithm: "entropy", temperature: 1, topP: 1 },
    reward: { code: 2, format: 0.5 },
    noiseRange: [0.2, 0.8],
    clip: 0.2,
    klWeight: 0.01,
    referenceSyncSteps: 64,
    optimizer: { learningRate: 3e-4, warmupSteps: 2, finalShare: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1, clipNorm: 0.2 },
  });
  const rollout = { steps: 12, algorithm: "maskgit_plus", temperature: 0.8, topP: 0.95, topK: 50, blockLength: 8, cache: "dual", threshold: 0.9, stopAtEnd: true };
  expect(recipeSchema.parse({ rounds: 1, rollout }).rollout).toEqual(rollout);
  expect(recipeSchema.parse({ rounds: 1, start: { rule: "window" } }).start).toEqual({
    rule: "window",
    lowestPassRate: 0.05,
    highestPassRate: 0.6,
    lowestMixedGroups: 0.4,
    tasks: 32,
  });
  expect(executionSchema.parse({})).toEqual({ checkpointEveryRounds: 10, sandboxWorkers: 2 });
});

test.each([
  ["rounds", {}],
  ["rounds", { rounds: 0 }],
  ["preset", { preset: "as-released" }],
  ["groupSize", { groupSize: 1 }],
  ["canvasLength", { canvasLength: 1 }],
  ["updatesPerRound", { updatesPerRound: 0 }],
  ["tasksPerRound", { tasksPerRound: 0 }],
  ["tasks.families", { tasks: { families: [] } }],
  ["tasks.count", { tasks: { count: 0 } }],
  ["start.rule", { start: { rule: "best" } }],
  ["start.highestPassRate", { start: { rule: "window", highestPassRate: 1.1 } }],
  ["start.lowestMixedGroups", { start: { rule: "window", lowestMixedGroups: -0.1 } }],
  ["start", { start: { rule: "final", tasks: 4 } }],
  ["rollout.temperature", { rollout: { temperature: 0 } }],
  ["rollout.topP", { rollout: { topP: 0 } }],
  ["rollout.topP", { rollout: { topP: 1.1 } }],
  ["rollout.algorithm", { rollout: { algorithm: "greedy" } }],
  ["rollout.steps", { rollout: { steps: 0 } }],
  ["rollout.algorithm", { rollout: { threshold: 0.9 } }],
  ["rollout.factor", { rollout: { algorithm: "maskgit_plus", threshold: 0.9, factor: 1 } }],
  ["rollout.blockLength", { rollout: { cache: "dual" } }],
  ["rollout.blockLength", { rollout: { blockLength: 0 } }],
  ["rollout", { rollout: { blocks: 2 } }],
  ["reward.code", { reward: { code: -1 } }],
  ["reward.format", { reward: { format: -1 } }],
  ["noiseRange", { noiseRange: [0.5, 0.5] }],
  ["noiseRange.0", { noiseRange: [0, 0.5] }],
  ["noiseRange.1", { noiseRange: [0.5, 1] }],
  ["clip", { clip: 0 }],
  ["klWeight", { klWeight: -1 }],
  ["referenceSyncSteps", { referenceSyncSteps: 0 }],
  ["optimizer.beta1", { optimizer: { beta1: 1 } }],
  ["optimizer.beta1", { optimizer: { beta1: -0.1 } }],
  ["optimizer.beta2", { optimizer: { beta2: 1 } }],
  ["optimizer.beta2", { optimizer: { beta2: -0.1 } }],
  ["optimizer.learningRate", { optimizer: { learningRate: 0 } }],
  ["optimizer.warmupSteps", { optimizer: { warmupSteps: -1 } }],
  ["optimizer.finalShare", { optimizer: { finalShare: 1.5 } }],
  ["optimizer.epsilon", { optimizer: { epsilon: 0 } }],
  ["optimizer.weightDecay", { optimizer: { weightDecay: -1 } }],
  ["optimizer.clipNorm", { optimizer: { clipNorm: 0 } }],
  ["", { lambda: 1 }],
])("%s: %j is refused by name", (path, changes) => {
  const { error } = recipeSchema.safeParse("rounds" in changes || path === "rounds" ? changes : { rounds: 1, ...changes });
  expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
});

test("an empty range of noise says what is expected", () => {
  expect(() => recipeSchema.parse({ rounds: 1, noiseRange: [0.8, 0.2] })).toThrow("expected lowest < highest");
});

test.each([{ checkpointEveryRounds: 0 }, { sandboxWorkers: 0 }, { workers: 2 }])("execution %j is refused", (execution) => {
  expect(executionSchema.safeParse(execution).success).toBe(false);
});
