/** One step of a generated program: an operation with a one-digit operand. */
export interface Operation {
  readonly name: "ADD" | "SUB" | "MUL" | "DIV" | "MOD";
  readonly operand: number;
}

/** Steps, and optionally a comparison that guards the second one. */
export interface Program {
  readonly operations: readonly Operation[];
  /** The second operation only happens when the value is greater than this. */
  readonly threshold?: number;
}

export const PYTHON_OPERATORS = { ADD: "+", SUB: "-", MUL: "*", DIV: "//", MOD: "%" } as const;

/** Runs a program as Python would (integers; DIV and MOD round towards minus infinity). */
export function evaluate({ operations, threshold }: Program, input: number): number {
  return operations.reduce((value, { name, operand }, index) => {
    if (index === 1 && threshold !== undefined && !(value > threshold)) return value;
    switch (name) {
      case "ADD":
        return value + operand;
      case "SUB":
        return value - operand;
      case "MUL":
        return value * operand;
      case "DIV":
        return Math.floor(value / operand);
      case "MOD":
        return value - operand * Math.floor(value / operand);
    }
  }, input);
}

/** `ADD 3 GT 5 MUL 2`. */
export function describe({ operations, threshold }: Program): string {
  return operations
    .map(({ name, operand }, index) => `${index === 1 && threshold !== undefined ? `GT ${threshold} ` : ""}${name} ${operand}`)
    .join(" ");
}
