import { z } from "zod";

/**
 * What a schema refuses in a value that came from outside: what was expected and found, and where, a line for each.
 *
 * @param value as it was given to the schema, which does not say what it found where it expected one of several values
 */
export function describeMismatch(error: z.ZodError, value: unknown): string {
  const issues = error.issues.map((issue) => {
    const found = issue.path.reduce((outer: unknown, key) => (outer as Record<PropertyKey, unknown> | null | undefined)?.[key], value);
    return { ...issue, message: `${issue.message}, found ${shown(found)}` };
  });
  return z.prettifyError({ issues });
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
}

const MOST_SHOWN = 60;
