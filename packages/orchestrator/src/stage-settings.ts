import { InvalidRecipe, type JsonObject, type StageDefinition } from "@diffucoder/lineage";
import type { z } from "zod";
import type { Settings } from "./workflows/contract.ts";

export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly text: string;
}

/**
 * Checks the two parts of a stage's settings and fills in their defaults.
 *
 * @throws InvalidRecipe naming each key that is wrong
 */
export function parseSettings(definition: StageDefinition, settings: Settings): Settings {
  const { value, problems } = checkSettings(definition, settings);
  if (problems.length > 0) throw new InvalidRecipe(`stage ${definition.name}`, problems.map(({ path, text }) => `${path.join(".")}: ${text}`));
  return value;
}

export function checkSettings(definition: StageDefinition, settings: Settings): { value: Settings; problems: Problem[] } {
  const recipe = check(definition.recipeSchema, settings.recipe);
  const execution = check(definition.executionSchema, settings.execution);
  const below = (part: string) => ({ path, text }: Problem): Problem => ({ path: [part, ...path], text });
  return {
    value: { recipe: recipe.value as JsonObject, execution: execution.value as JsonObject },
    problems: [...recipe.problems.map(below("recipe")), ...execution.problems.map(below("execution"))],
  };
}

/** Parses a value; problems read "expected X, found Y". */
export function check<T>(schema: z.ZodType<T>, value: unknown): { value: T | undefined; problems: Problem[] } {
  const parsed = schema.safeParse(value);
  if (parsed.success) return { value: parsed.data, problems: [] };
  return { value: undefined, problems: parsed.error.issues.flatMap((issue) => problemsOf(issue, schema, value)) };
}

function problemsOf(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown): Problem[] {
  const { path } = issue;
  const found = describe(path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value));
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = knownKeys(schema, path);
      const expected = known === undefined ? "a known key" : `one of ${known.join(", ")}`;
      return issue.keys.map((key) => ({ path: [...path, key], text: `expected ${expected}, found the unknown key ${key}` }));
    }
    case "invalid_type":
      return [{ path, text: `expected ${issue.expected}, found ${found}` }];
    case "invalid_value":
      return [{ path, text: `expected ${issue.values.map((word) => JSON.stringify(word)).join(" or ")}, found ${found}` }];
    default:
      return [{ path, text: `${lowerFirst(issue.message)}, found ${found}` }];
  }
}

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

interface SchemaShape {
  readonly shape?: Record<string, SchemaShape>;
  readonly element?: SchemaShape;
  unwrap?(): SchemaShape;
}

/** Keys that the object at a path may have, when plain objects and lists lead there. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] | undefined {
  let at = plain(schema as SchemaShape);
  for (const key of path) at = plain(typeof key === "number" ? at?.element : at?.shape?.[String(key)]);
  return at?.shape === undefined ? undefined : Object.keys(at.shape);
}

function plain(schema: SchemaShape | undefined): SchemaShape | undefined {
  let inner = schema;
  while (inner?.unwrap !== undefined && inner.element === undefined) inner = inner.unwrap();
  return inner;
}
