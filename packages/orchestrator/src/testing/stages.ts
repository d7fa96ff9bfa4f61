import { existsSync, readFileSync, rmSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { sha256, StageCancelled, StageError, type NumericsProfile, type PartContext, type Piece, type StageContext, type StageDefinition, type StageRequest } from "@diffucoder/lineage";
import { z } from "zod";

// Real stages that are quick: one writes numbers, one folds them step by step, and one shares its work; those can be made to
// fail, to hang or to wait.

const entry = fileURLToPath(import.meta.url);

const numbersRecipe = z.strictObject({ count: z.int().positive().default(10) });
const nothing = z.strictObject({});

const numbersStage: StageDefinition<z.infer<typeof numbersRecipe>, z.infer<typeof nothing>> = {
  name: "numbers",
  packageName: "@diffucoder/orchestrator",
  entry,
  resource: "cpu",
  inputs: {},
  outputs: { documents: "documents" },
  recipeSchema: numbersRecipe,
  executionSchema: nothing,
  plan: ({ count }) => ({ tokens: count }),
  async run({ recipe, seed }, { scratchDir, report }) {
    const directory = join(scratchDir, "numbers");
    await mkdir(directory);
    const numbers = Array.from({ length: recipe.count }, (_, index) => seed * 1000 + index);
    await writeFile(join(directory, "numbers.json"), JSON.stringify(numbers));
    report({ step: recipe.count, totalSteps: recipe.count, unit: "numbers" });
    return { outputs: { documents: { kind: "documents", directory, meta: { count: recipe.count } } }, summary: { count: recipe.count } };
  },
};

const foldRecipe = z.strictObject({
  steps: z.int().positive().default(5),
  /** A negative one is refused only when the stage runs. */
  start: z.int().default(0),
});

const foldExecution = z.strictObject({
  stepMs: z.int().nonnegative().default(5),
  checkpointEvery: z.int().positive().default(1),
  /** Folder in which the files `fail` and `hang` make the stage do so; each is taken away as it works. */
  faults: z.string().optional(),
  /** File that makes the stage wait for as long as it is there, or until it is told to stop. */
  hold: z.string().optional(),
  /** Step at which the faults work, and from which it can be held. */
  faultStep: z.int().nonnegative().default(2),
});

type FoldRequest = StageRequest<z.infer<typeof foldRecipe>, z.infer<typeof foldExecution>>;

const foldStage: StageDefinition<z.infer<typeof foldRecipe>, z.infer<typeof foldExecution>> = {
  name: "fold",
  packageName: "@diffucoder/orchestrator",
  entry,
  resource: "train",
  inputs: { documents: { kind: "documents" }, checkpoint: { kind: "checkpoint", optional: true } },
  outputs: { checkpoint: "checkpoint" },
  recipeSchema: foldRecipe,
  executionSchema: foldExecution,
  async run(request, context) {
    const { recipe, execution, inputs } = request;
    if (recipe.start < 0) {
      throw new StageError({ code: "NegativeStart", message: `start: expected 0 or more, found ${recipe.start}`, retryable: false });
    }
    const numbers = await readFile(await context.artifacts.file(inputs.documents!, "numbers.json"), "utf8");
    let { step, state } = await startingPoint(request, context);
    for (; step < recipe.steps; step += 1) {
      await sleep(execution.stepMs);
      if (execution.faults !== undefined && step === execution.faultStep) await applyFaults(execution.faults);
      if (execution.hold !== undefined && step >= execution.faultStep) {
        await released(execution.hold, context.signal, () => context.report({ step, totalSteps: recipe.steps, unit: "steps" }));
      }
      state = sha256(`${state} ${step} ${numbers}`);
      context.report({ step: step + 1, totalSteps: recipe.steps, unit: "steps", metrics: { loss: 1 / (step + 1) } });
      const isStopping = context.signal.aborted;
      if (isStopping || (step + 1) % execution.checkpointEvery === 0) {
        await context.saveCheckpoint(step + 1, await writeStateFile(context, step + 1, state), { step: step + 1 });
      }
      if (isStopping) throw new StageCancelled("fold", step + 1);
    }
    const directory = await writeStateFile(context, step, state);
    return { outputs: { checkpoint: { kind: "checkpoint", directory, meta: { step } } }, summary: { state } };
  },
};

async function startingPoint({ recipe }: FoldRequest, { resumeFrom, artifacts, log }: StageContext): Promise<{ step: number; state: string }> {
  if (resumeFrom === undefined) return { step: 0, state: String(recipe.start) };
  log(`going on from step ${resumeFrom.step}`);
  return JSON.parse(await readFile(await artifacts.file(resumeFrom.ref, "state.json"), "utf8")) as { step: number; state: string };
}

async function writeStateFile({ scratchDir }: StageContext, step: number, state: string): Promise<string> {
  const directory = join(scratchDir, `state-${step}`);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "state.json"), JSON.stringify({ step, state }));
  return directory;
}

/** Reports now and then: of reports in quick succession only the first gets through. */
async function released(hold: string, signal: AbortSignal, report: () => void): Promise<void> {
  for (; existsSync(hold) && !signal.aborted; await sleep(20)) report();
}

async function applyFaults(folder: string): Promise<void> {
  const take = (name: string): string | undefined => {
    const path = join(folder, name);
    if (!existsSync(path)) return undefined;
    const content = readFileSync(path, "utf8");
    rmSync(path);
    return content;
  };
  const failure = take("fail");
  if (failure !== undefined) throw new StageError({ code: "Told", message: `stage fold: ${failure}`, retryable: true });
  if (take("hang") !== undefined) for (;;); // a loop that never yields, as native code may
}

const tallyRecipe = z.strictObject({
  units: z.int().positive().default(6),
  /** Unit that is refused. */
  refused: z.int().optional(),
});

const tallyExecution = z.strictObject({
  parts: z.int().positive().default(1),
  /** File that makes every unit from `holdFrom` on wait for as long as it is there. */
  hold: z.string().optional(),
  holdFrom: z.int().nonnegative().default(2),
});

type TallyRequest = StageRequest<z.infer<typeof tallyRecipe>, z.infer<typeof tallyExecution>>;

const tallyStage: StageDefinition<z.infer<typeof tallyRecipe>, z.infer<typeof tallyExecution>> = {
  name: "tally",
  packageName: "@diffucoder/orchestrator",
  entry,
  resource: "cpu",
  inputs: {},
  outputs: { documents: "documents" },
  recipeSchema: tallyRecipe,
  executionSchema: tallyExecution,
  parts: {
    count: ({ parts }) => parts,
    async run(request, { index, count }, context) {
      for (let unit = index; unit < request.recipe.units; unit += count) await makeUnit(request, unit, context);
    },
  },
  async run(request, context) {
    const directory = join(context.scratchDir, "tally");
    await mkdir(directory);
    const units = [];
    for (let unit = 0; unit < request.recipe.units; unit += 1) units.push((await makeUnit(request, unit, context)).files.unit!.sha256);
    await writeFile(join(directory, "units.json"), JSON.stringify(units));
    return { outputs: { documents: { kind: "documents", directory, meta: {} } }, summary: {} };
  },
};

function makeUnit({ recipe, execution, seed }: TallyRequest, unit: number, { pieces, scratchDir, signal, log, report }: PartContext): Promise<Piece> {
  const tell = () => report({ step: unit, totalSteps: recipe.units, unit: "units", note: `unit ${unit}` });
  tell();
  return pieces.findOrMake({ unit, seed }, scratchDir, async (directory) => {
    log(`making unit ${unit}`);
    if (unit === recipe.refused) throw new StageError({ code: "Refused", message: `unit ${unit}: expected another, found it`, retryable: false });
    if (execution.hold !== undefined && unit >= execution.holdFrom) await released(execution.hold, signal, tell);
    if (signal.aborted) throw new StageCancelled("tally", unit);
    await writeFile(join(directory, "unit"), `unit ${unit} of seed ${seed}`);
  });
}

export const stages = { numbers: numbersStage, fold: foldStage, tally: tallyStage };

export const preferredDtype = async (): Promise<"fp32"> => "fp32";

export const numerics = async (dtype: "fp32" | "bf16"): Promise<NumericsProfile> => ({ dtype, instructionSet: process.arch, threads: 1, libtensorflow: "none" });

export const slowerBecause = async (): Promise<string | undefined> => process.env.TEST_SLOWER_BECAUSE;
