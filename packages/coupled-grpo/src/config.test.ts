import { expect, test } from "vitest";
import { executionSchema, recipeSchema } from "./config.ts";
import { PRESET_NAMES } from "./presets.ts";

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
    reward: { kind: "weighted", code: 2, format: 0.5 },
    faults: "excluded",
    advantage: "leave-one-out",
    logProbs: { masks: "coupled", weights: "none", fullPass: true, noiseRange: [0.2, 0.8], levelPer: "completion", drawnPer: "update" },
    objective: { kind: "token", clip: 0.2 },
    klWeight: 0.01,
    referenceSyncSteps: 64,
    referenceShare: 1,
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
  ["preset", { preset: "best" }],
  ["preset", { preset: 1 }],
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
  ["reward.kind", { reward: { kind: "best" } }],
  ["reward", { reward: { kind: "binary", code: 1 } }],
  ["faults", { faults: "retried" }],
  ["advantage", { advantage: "critic" }],
  ["logProbs.masks", { logProbs: { masks: "none" } }],
  ["logProbs.noiseRange", { logProbs: { noiseRange: [0.5, 0.5] } }],
  ["logProbs.noiseRange.0", { logProbs: { noiseRange: [0, 0.5] } }],
  ["logProbs.noiseRange.1", { logProbs: { masks: "single", noiseRange: [0.5, 1] } }],
  ["logProbs.weights", { logProbs: { weights: "level" } }],
  ["logProbs.levelPer", { logProbs: { levelPer: "round" } }],
  ["logProbs.drawnPer", { logProbs: { drawnPer: "batch" } }],
  ["logProbs.fullPass", { logProbs: { masks: "independent", fullPass: 1 } }],
  ["logProbs", { logProbs: { masks: "full", noiseRange: [0.2, 0.8] } }],
  ["logProbs.promptNoise", { logProbs: { masks: "full", promptNoise: 1 } }],
  ["logProbs.count", { logProbs: { masks: "strata", count: 1 } }],
  ["logProbs", { logProbs: null }],
  ["objective.kind", { objective: { kind: "dpo" } }],
  ["objective.clip", { objective: { clip: 0 } }],
  ["objective.clipAbove", { objective: { clipAbove: 0 } }],
  ["referenceShare", { referenceShare: 0 }],
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
  expect(() => recipeSchema.parse({ rounds: 1, logProbs: { noiseRange: [0.8, 0.2] } })).toThrow("expected lowest < highest");
});

test("a preset says what a recipe leaves open, and nothing else", () => {
  expect(recipeSchema.parse({ rounds: 3, preset: "as-released" })).toEqual({
    ...recipeSchema.parse({ rounds: 3 }),
    preset: "as-released",
    logProbs: { masks: "coupled", weights: "inverse-level", fullPass: true, noiseRange: [0.2, 0.8], levelPer: "batch", drawnPer: "round" },
    objective: { kind: "token", clip: 0.5 },
    referenceShare: 0.6,
    faults: "zero",
  });
  const mixed = recipeSchema.parse({ rounds: 3, preset: "d1", klWeight: 0, logProbs: { promptNoise: 0 }, objective: { clipAbove: 0.7 }, reward: { format: 0 } });
  expect(mixed).toMatchObject({ klWeight: 0, advantage: "mean", logProbs: { masks: "full", promptNoise: 0 }, objective: { kind: "token", clip: 0.5, clipAbove: 0.7 }, reward: { kind: "weighted", code: 2, format: 0 } });
  // A slot of another kind owes the preset's nothing.
  const replaced = recipeSchema.parse({ rounds: 3, preset: "as-released", logProbs: { masks: "strata" }, objective: { kind: "sequence" }, faults: "excluded" });
  expect(replaced).toMatchObject({ logProbs: { masks: "strata", count: 4 }, objective: { kind: "sequence", clip: 0.2 }, faults: "excluded" });
});

test("a recipe that was made explicit is the same when read again", () => {
  for (const preset of PRESET_NAMES) {
    const recipe = recipeSchema.parse({ rounds: 3, preset });
    expect(recipeSchema.parse(recipe)).toEqual(recipe);
  }
});

test.each([{ checkpointEveryRounds: 0 }, { sandboxWorkers: 0 }, { workers: 2 }])("execution %j is refused", (execution) => {
  expect(executionSchema.safeParse(execution).success).toBe(false);
});
