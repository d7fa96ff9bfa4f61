import { codeIdentity, type CodeIdentity } from "./code-digest.ts";
import { InvalidRecipe } from "./errors.ts";
import { canonicalJson, sha256, type JsonObject, type JsonValue } from "./json.ts";
import type { NumericsProfile, StageDefinition, StageRequest } from "./stage.ts";

/** Everything a result depends on. Its sha256 is the stage key. */
export interface KeyFacts {
  readonly stage: string;
  readonly code: string;
  readonly recipe: JsonValue;
  /** Digest of each input artifact, by role. */
  readonly inputs: Readonly<Record<string, string>>;
  /** sha256 of each file outside the store, by name. */
  readonly sources: Readonly<Record<string, string>>;
  readonly seed: number;
  /** Numbers of training stages depend on it; data stages give equal bytes everywhere. */
  readonly dtype: "fp32" | "bf16" | null;
}

export interface ResolvedStage {
  readonly key: string;
  readonly facts: KeyFacts;
  readonly request: StageRequest;
  readonly code: CodeIdentity;
}

/**
 * Checks a request against its stage's schemas and inputs, fills in defaults, and computes the stage key.
 *
 * @throws InvalidRecipe naming each key that is wrong
 */
export async function resolveStage(
  definition: StageDefinition,
  request: StageRequest,
  dtype: NumericsProfile["dtype"],
): Promise<ResolvedStage> {
  const { recipe, execution, ...rest } = parseRequest(definition, request);
  const code = await codeIdentity(definition);
  const sources = (await definition.sources?.(recipe, request.baseDirectory)) ?? {};
  const facts: KeyFacts = {
    stage: definition.name,
    code: code.digest,
    recipe: recipe as JsonValue,
    inputs: Object.fromEntries(Object.entries(request.inputs).map(([role, { digest }]) => [role, digest])),
    sources,
    seed: request.seed,
    dtype: definition.resource === "train" ? dtype : null,
  };
  const key = sha256(canonicalJson(JSON.parse(JSON.stringify(facts)) as JsonObject));
  return { key, facts, request: { ...rest, recipe, execution }, code };
}

/** A request with every default filled in. @throws InvalidRecipe */
export function parseRequest(definition: StageDefinition, request: StageRequest): StageRequest {
  const recipe: unknown = parsePart(definition, "recipe", definition.recipeSchema, request.recipe);
  const execution: unknown = parsePart(definition, "execution", definition.executionSchema, request.execution);
  checkInputs(definition, request);
  return { ...request, recipe, execution };
}

function parsePart<T>(definition: StageDefinition, part: string, schema: StageDefinition<T>["recipeSchema"], value: unknown): T {
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return parsed.data as T;
  const problems = parsed.error.issues.map((issue) => `${[part, ...issue.path].join(".")}: ${issue.message}`);
  throw new InvalidRecipe(`stage ${definition.name}`, problems);
}

function checkInputs(definition: StageDefinition, { inputs }: StageRequest): void {
  const problems: string[] = [];
  for (const [role, { kind, optional }] of Object.entries(definition.inputs)) {
    const found = inputs[role];
    if (found === undefined && optional !== true) problems.push(`inputs.${role}: expected a ${kind} artifact, found nothing`);
    if (found !== undefined && found.kind !== kind) problems.push(`inputs.${role}: expected a ${kind} artifact, found ${found.kind}`);
  }
  for (const role of Object.keys(inputs)) {
    if (!Object.hasOwn(definition.inputs, role)) {
      problems.push(`inputs.${role}: expected one of ${Object.keys(definition.inputs).join(", ") || "no inputs"}, found an unknown role`);
    }
  }
  if (problems.length > 0) throw new InvalidRecipe(`stage ${definition.name}`, problems);
}
