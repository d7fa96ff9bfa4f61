import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { describeSystemError, InvalidRecipe, type StageDefinition, type StagePlan } from "@diffucoder/lineage";
import { isNode, LineCounter, parse, parseDocument, type Document } from "yaml";
import { z } from "zod";
import { check, checkSettings, type Problem } from "./stage-settings.ts";
import type { StageRegistry } from "./stages.ts";
import type { ResolvedPipeline, ResolvedStage, StageInput } from "./workflows/contract.ts";

const name = z.string().regex(/^[a-z][a-z0-9-]*$/, "expected lower-case letters, digits and hyphens");
const settings = z.record(z.string(), z.json());

export const retrySchema = z.strictObject({
  attempts: z.int().positive().default(3),
  delayMs: z.int().nonnegative().default(1000),
  heartbeatMs: z.int().positive().default(15_000),
  stallMs: z.int().positive().default(300_000),
  graceMs: z.int().positive().default(60_000),
});

const stageSchema = z.strictObject({
  id: name,
  uses: z.string(),
  inputs: z.record(z.string(), z.string().regex(/^([a-z][a-z0-9-]*\.\w+|artifact:[0-9a-f]{64})$/, "expected stage.output or artifact:<digest>")).default({}),
  recipe: settings.default({}),
  execution: settings.default({}),
  retry: retrySchema.prefault({}),
});

/** A pipeline file as written. */
export const pipelineSchema = z.strictObject({
  name,
  seed: z.int().nonnegative(),
  numerics: z.enum(["auto", "fp32", "bf16"]).default("auto"),
  stages: z.array(stageSchema).min(1),
});

type WrittenStage = z.infer<typeof stageSchema>;

export interface ReadOptions {
  /** Each `path=value`, such as `stages.pretraining.recipe.steps=20`; stages go by their id, values are YAML. */
  readonly overrides?: readonly string[];
  readonly seed?: number;
}

/**
 * Reads a pipeline file, applies overrides, fills in every default and checks every reference.
 *
 * @throws InvalidRecipe naming the file and, for each problem, line, key, what was expected and what was found
 */
export async function readPipeline(file: string, registry: StageRegistry, options: ReadOptions = {}): Promise<ResolvedPipeline> {
  const source = await PipelineSource.read(file);
  for (const override of options.overrides ?? []) source.set(override);
  if (options.seed !== undefined) source.set(`seed=${options.seed}`);
  const { value, problems } = check(pipelineSchema, source.value);
  if (value === undefined) throw source.invalid(problems);
  const definitions = await loadDefinitions(value.stages, registry, source);
  const found = [...problemsOfStages(value.stages, definitions), ...problemsOfSettings(value.stages, definitions)];
  if (found.length > 0) throw source.invalid(found);
  return {
    name: value.name,
    seed: value.seed,
    numerics: value.numerics,
    baseDirectory: dirname(resolve(file)),
    stages: value.stages.map((stage) => resolveStage(stage, definitions.get(stage.id)!)),
  };
}

/** What each stage would cost, from the recipe alone; a stage that makes no plan has an empty one. */
export async function planPipeline(pipeline: ResolvedPipeline, registry: StageRegistry): Promise<Map<string, StagePlan>> {
  const plans = new Map<string, StagePlan>();
  for (const stage of inOrder(pipeline.stages)) {
    const inputs = Object.entries(stage.inputs).flatMap(([role, input]) => ("stage" in input ? [[role, plans.get(input.stage)!] as const] : []));
    const definition = await registry.stage(stage.uses);
    plans.set(stage.id, definition.plan?.(stage.recipe, Object.fromEntries(inputs), pipeline.baseDirectory) ?? {});
  }
  return plans;
}

/** A pipeline file with the place of each key, so that problems can name lines. */
class PipelineSource {
  readonly value: unknown;
  readonly #file: string;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #overridden: string[] = [];

  static async read(file: string): Promise<PipelineSource> {
    const text = await readFile(file, "utf8").catch((error: unknown) => {
      throw new InvalidRecipe(file, [`expected a pipeline file, found ${describeSystemError(error)}`]);
    });
    return new PipelineSource(file, text);
  }

  constructor(file: string, text: string) {
    this.#file = file;
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const errors = this.#document.errors.map(({ pos, message }) => `line ${this.#lines.linePos(pos[0]).line}: expected YAML, found ${message}`);
    if (errors.length > 0) throw new InvalidRecipe(file, errors);
    const value: unknown = this.#document.toJS();
    if (typeof value !== "object" || value === null) throw new InvalidRecipe(file, [`line 1: expected a pipeline (name, seed, stages), found ${JSON.stringify(value)}`]);
    this.value = value;
  }

  /** Applies `path=value`. */
  set(override: string): void {
    const equals = override.indexOf("=");
    const refuse = (expected: string, found: string): never => {
      throw new InvalidRecipe(`--set ${override}`, [`expected ${expected}, found ${found}`]);
    };
    if (equals < 1) return refuse("key=value", "no key before an =");
    const path = override.slice(0, equals);
    const keys = path.split(".");
    let at = this.value as Settings;
    for (const [index, key] of keys.slice(0, -1).entries()) {
      const isStage = index === 1 && keys[0] === "stages";
      const inner = isStage ? stagesOf(at).find(({ id }) => id === key) : (at[key] ??= {});
      if (isStage && inner === undefined) refuse(`one of ${stagesOf(at).map(({ id }) => id).join(", ")}`, key);
      if (typeof inner !== "object" || inner === null) refuse(`settings under ${key}`, JSON.stringify(inner));
      at = inner as Settings;
    }
    at[keys.at(-1)!] = parse(override.slice(equals + 1)) as unknown;
    this.#overridden.push(path);
  }

  invalid(problems: readonly Problem[]): InvalidRecipe {
    return new InvalidRecipe(this.#file, problems.map(({ path, text }) => `${this.#place(path)}: ${text}`));
  }

  #place(path: readonly PropertyKey[]): string {
    const key = this.#named(path);
    if (this.#overridden.some((set) => key === set || key.startsWith(`${set}.`))) return `--set ${key}`;
    // A key that is missing is reported at the nearest thing that is there.
    for (let length = path.length; length > 0; length -= 1) {
      const node: unknown = this.#document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return `line ${this.#lines.linePos(node.range[0]).line}, ${key}`;
    }
    return key || "top level";
  }

  /** `stages.3.recipe` -> `stages.pretraining.recipe`. */
  #named(path: readonly PropertyKey[]): string {
    const stages = (this.value as { stages?: readonly { id?: string }[] } | null)?.stages;
    return path.map((key, index) => (index === 1 && path[0] === "stages" ? (stages?.[Number(key)]?.id ?? key) : key)).join(".");
  }
}

type Settings = Record<string, unknown>;

function stagesOf(written: unknown): { readonly id?: string }[] {
  return Array.isArray(written) ? written.filter((stage) => typeof stage === "object" && stage !== null) : [];
}

async function loadDefinitions(stages: readonly WrittenStage[], registry: StageRegistry, source: PipelineSource): Promise<Map<string, StageDefinition>> {
  const problems = stages.flatMap(({ uses }, index) =>
    registry.names.includes(uses) ? [] : [{ path: ["stages", index, "uses"], text: `expected one of ${registry.names.join(", ")}, found ${uses}` }],
  );
  if (problems.length > 0) throw source.invalid(problems);
  return new Map(await Promise.all(stages.map(async ({ id, uses }) => [id, await registry.stage(uses)] as const)));
}

function problemsOfStages(stages: readonly WrittenStage[], definitions: ReadonlyMap<string, StageDefinition>): Problem[] {
  const problems = stages.flatMap((stage, index) => problemsOfInputs(stage, index, definitions));
  for (const [index, { id }] of stages.entries()) {
    if (stages.findIndex((other) => other.id === id) < index) problems.push({ path: ["stages", index, "id"], text: `expected an id of its own, found ${id} a second time` });
  }
  const cycle = cycleOf(stages);
  if (cycle !== undefined) {
    problems.push({ path: ["stages", stages.findIndex(({ id }) => id === cycle[0])], text: `expected stages without a circle, found ${cycle.join(" <- ")}` });
  }
  return problems;
}

function problemsOfInputs({ id, inputs }: WrittenStage, index: number, definitions: ReadonlyMap<string, StageDefinition>): Problem[] {
  const definition = definitions.get(id)!;
  const problems: Problem[] = [];
  for (const [role, { kind, optional }] of Object.entries(definition.inputs)) {
    if (inputs[role] === undefined && optional !== true) {
      problems.push({ path: ["stages", index, "inputs"], text: `expected ${role} (a ${kind} artifact, such as ${producerOf(kind, definitions)}), found nothing` });
    }
  }
  for (const [role, written] of Object.entries(inputs)) {
    const text = problemOfInput(role, written, definition, definitions);
    if (text !== undefined) problems.push({ path: ["stages", index, "inputs", role], text });
  }
  return problems;
}

function problemOfInput(role: string, written: string, definition: StageDefinition, definitions: ReadonlyMap<string, StageDefinition>): string | undefined {
  const expected = definition.inputs[role];
  if (expected === undefined) return `expected one of ${Object.keys(definition.inputs).join(", ") || "no inputs"}, found the unknown role ${role}`;
  if (written.startsWith("artifact:")) return undefined;
  const [stage, output] = written.split(".") as [string, string];
  const producer = definitions.get(stage);
  if (producer === undefined) return `expected one of the stages ${[...definitions.keys()].join(", ")}, found ${stage}`;
  const kind = producer.outputs[output];
  if (kind === undefined) return `expected one of ${stage}'s outputs ${Object.keys(producer.outputs).join(", ")}, found ${output}`;
  if (kind !== expected.kind) return `expected a ${expected.kind} artifact, found ${written}, a ${kind} artifact`;
  return undefined;
}

function producerOf(kind: string, definitions: ReadonlyMap<string, StageDefinition>): string {
  for (const [id, { outputs }] of definitions) {
    const output = Object.keys(outputs).find((candidate) => outputs[candidate] === kind);
    if (output !== undefined) return `${id}.${output}`;
  }
  return "artifact:<digest>";
}

function problemsOfSettings(stages: readonly WrittenStage[], definitions: ReadonlyMap<string, StageDefinition>): Problem[] {
  return stages.flatMap((stage, index) =>
    checkSettings(definitions.get(stage.id)!, stage).problems.map(({ path, text }) => ({ path: ["stages", index, ...path], text })),
  );
}

function resolveStage(stage: WrittenStage, definition: StageDefinition): ResolvedStage {
  const { recipe, execution } = checkSettings(definition, stage).value;
  const inputs: Record<string, StageInput> = {};
  for (const [role, written] of Object.entries(stage.inputs)) {
    const [producer, output] = written.split(".");
    inputs[role] = output === undefined ? { kind: definition.inputs[role]!.kind, digest: written.slice("artifact:".length) } : { stage: producer!, output };
  }
  const { id, uses, retry } = stage;
  return { id, uses, resource: definition.resource, inputs, outputs: definition.outputs, recipe, execution, retry };
}

/** A circle of stages, each waiting for the next. */
function cycleOf(stages: readonly WrittenStage[]): string[] | undefined {
  const sources = new Map(stages.map(({ id, inputs }) => [id, Object.values(inputs).map((input) => input.split(".")[0]!)]));
  const finished = new Set<string>();
  const visit = (id: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(id)) return [...trail.slice(trail.indexOf(id)), id];
    if (finished.has(id)) return undefined;
    for (const source of sources.get(id) ?? []) {
      const cycle = visit(source, [...trail, id]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(id);
    return undefined;
  };
  for (const { id } of stages) {
    const cycle = visit(id, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

/** Stages in an order in which each comes after those it waits for. */
export function inOrder(stages: readonly ResolvedStage[]): ResolvedStage[] {
  const ordered: ResolvedStage[] = [];
  const visit = (stage: ResolvedStage): void => {
    if (ordered.includes(stage)) return;
    for (const input of Object.values(stage.inputs)) {
      if ("stage" in input) visit(stages.find(({ id }) => id === input.stage)!);
    }
    ordered.push(stage);
  };
  stages.forEach(visit);
  return ordered;
}

