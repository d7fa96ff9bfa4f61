import { EngineError } from "./errors.ts";
import { elementCount, type NamedTensor, type ProgramSpec } from "./program.ts";

/** What a program keeps in one piece of memory and graphs see as one: a variable, or several joined along their first axis. */
export interface Cell {
  readonly name: string;
  readonly shape: readonly number[];
  readonly members: readonly Member[];
}

/** A variable's place in its cell, in elements. */
export interface Member {
  readonly name: string;
  readonly shape: readonly number[];
  readonly first: number;
  readonly count: number;
}

/**
 * In the order of their first variables.
 *
 * @throws EngineError `WrongVariable` when a join names what is no variable, one that is in another join or bears the join's own name, or
 *   variables that differ in an axis behind the first
 */
export function cellsOf({ variables, joins = {} }: Pick<ProgramSpec, "variables" | "joins">): Cell[] {
  const joinOf = new Map<string, string>();
  for (const [join, names] of Object.entries(joins)) {
    if (join in variables) throw new EngineError("WrongVariable", `join ${join}: expected a name that no variable has, found a variable's`);
    for (const name of names) {
      const wrong = !(name in variables) ? "no variable" : joinOf.has(name) ? `one of ${joinOf.get(name)!}` : undefined;
      if (wrong !== undefined) throw new EngineError("WrongVariable", `join ${join}: expected variables of no other join, found ${name}, ${wrong}`);
      joinOf.set(name, join);
    }
  }
  const cells = new Map<string, Cell>();
  for (const variable of Object.keys(variables)) {
    const name = joinOf.get(variable) ?? variable;
    if (!cells.has(name)) cells.set(name, cellOf(name, joins[name] ?? [variable], variables));
  }
  return [...cells.values()];
}

function cellOf(name: string, members: readonly string[], variables: ProgramSpec["variables"]): Cell {
  const shapes = members.map((member) => variables[member]!);
  const [, ...inner] = shapes[0]!;
  const differing = shapes.findIndex((shape) => shape.slice(1).join() !== inner.join() || (members.length > 1 && shape.length === 0));
  if (differing !== -1) throw new EngineError("WrongVariable", `join ${name}: expected variables of [n${inner.map((size) => `,${size}`).join("")}], found ${members[differing]!} of [${shapes[differing]!.join()}]`);
  let end = 0;
  return {
    name,
    shape: members.length === 1 ? shapes[0]! : [shapes.reduce((rows, [count]) => rows + count!, 0), ...inner],
    members: members.map((member, i) => {
      const count = elementCount(shapes[i]!);
      end += count;
      return { name: member, shape: shapes[i]!, first: end - count, count };
    }),
  };
}

/** A copy of the cell's values. */
export function joined({ shape, members }: Cell, values: ReadonlyMap<string, NamedTensor>): Float32Array {
  const data = new Float32Array(elementCount(shape));
  for (const { name, first } of members) data.set(values.get(name)!.data, first);
  return data;
}

/** A cell's values apart. */
export function apart({ members }: Cell, data: Float32Array): [name: string, value: NamedTensor][] {
  if (members.length === 1) return [[members[0]!.name, { shape: members[0]!.shape, data }]];
  return members.map(({ name, shape, first, count }) => [name, { shape, data: data.slice(first, first + count) }]);
}
