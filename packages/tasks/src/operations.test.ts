import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { describe, evaluate, PYTHON_OPERATORS, type Operation, type Program } from "./operations.ts";

const NAMES = Object.keys(PYTHON_OPERATORS) as Operation["name"][];
const operation = fc.record({ name: fc.constantFrom(...NAMES), operand: fc.integer({ min: 1, max: 9 }) });
const program: fc.Arbitrary<Program> = fc.oneof(
  fc.record({ operations: fc.tuple(operation, operation) }),
  fc.record({ operations: fc.tuple(operation, operation, operation), threshold: fc.integer({ min: 1, max: 9 }) }),
);

const one = (name: Operation["name"], operand: number, input: number) => evaluate({ operations: [{ name, operand }] }, input);

test.each([
  // Division rounds towards minus infinity, and a remainder has the divisor's sign: -7 = 2 * -4 + 1.
  ["DIV", 2, 7, 3],
  ["DIV", 2, -7, -4],
  ["DIV", 2, -8, -4],
  ["DIV", 9, -1, -1],
  ["MOD", 2, -7, 1],
  ["MOD", 3, -7, 2],
  ["MOD", 3, -9, 0],
  ["MOD", 9, -1, 8],
  ["MOD", 9, 0, 0],
  ["ADD", 3, -7, -4],
  ["SUB", 3, -7, -10],
  ["MUL", 3, -7, -21],
] as const)("%s %i of %i is %i", (name, operand, input, expected) => {
  expect(one(name, operand, input)).toBe(expected); // toBe: 0 is not -0
});

test("the condition guards the second step only, and needs more than its threshold", () => {
  const guarded: Program = { operations: [{ name: "ADD", operand: 1 }, { name: "MUL", operand: 2 }, { name: "SUB", operand: 3 }], threshold: 5 };
  expect(evaluate(guarded, 3)).toBe(1); // 4 is not above 5: 4 - 3
  expect(evaluate(guarded, 4)).toBe(2); // 5 is not above 5: 5 - 3
  expect(evaluate(guarded, 5)).toBe(9); // 6 is: 12 - 3
  expect(evaluate({ operations: guarded.operations }, 3)).toBe(5); // no condition: 8 - 3
});

test("programs give what Python gives, for positive and negative inputs", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(program, fc.integer({ min: -300, max: 300 })), { minLength: 300, maxLength: 300 }), (cases) => {
      const lines = cases.map(([{ operations, threshold }, input]) => {
        const steps = operations.map(({ name, operand }, i) => `${i === 1 && threshold !== undefined ? `if v > ${threshold}: ` : ""}v = v ${PYTHON_OPERATORS[name]} ${operand}`);
        return [`v = ${input}`, ...steps, "print(v)"].join("\n");
      });
      const printed = execFileSync("python3", ["-I", "-"], { input: lines.join("\n"), encoding: "utf8" });
      expect(cases.map(([p, input]) => evaluate(p, input))).toEqual(printed.trim().split("\n").map(Number));
    }),
    { numRuns: 3 },
  );
});

test("a program is worded in the order of its steps, the condition before the second", () => {
  const operations: Operation[] = [{ name: "ADD", operand: 3 }, { name: "MUL", operand: 2 }, { name: "SUB", operand: 7 }];
  expect(describe({ operations, threshold: 5 })).toBe("ADD 3 GT 5 MUL 2 SUB 7");
  expect(describe({ operations: operations.slice(0, 2) })).toBe("ADD 3 MUL 2");
});
