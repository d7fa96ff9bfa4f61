import { InvalidArgumentError, Option } from "commander";

/** An option that may be given again; its values come as a list, empty where it is not given. */
export function repeatable(flags: string, description: string): Option {
  return new Option(flags, `${description}; may be given again`).argParser(collect).default([], "none");
}

/** Such an option that has to be given. */
export function repeatableRequired(flags: string, description: string): Option {
  return new Option(flags, `${description}; may be given again`).argParser(collect).makeOptionMandatory();
}

function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}

export function seed(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0 && text.trim() !== "") return value;
  throw new InvalidArgumentError("expected a whole number, 0 or more.");
}

export function positive(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidArgumentError("expected a whole number above 0.");
}

export function notNegative(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value >= 0 && text.trim() !== "") return value;
  throw new InvalidArgumentError("expected a number, 0 or more.");
}
