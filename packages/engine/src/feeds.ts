import { EngineError } from "./errors.ts";
import { elementCount, isTrainGraph, type Feed, type GraphSpec, type NamedTensor, type ProgramSpec } from "./program.ts";

/** The named graph, with its feeds checked for name, type and length. */
export function checkedGraph(spec: ProgramSpec, name: string, feeds: Readonly<Record<string, Feed>>): GraphSpec {
  const graph = spec.graphs[name];
  if (graph === undefined) {
    throw new EngineError("UnknownGraph", `graph: expected one of ${Object.keys(spec.graphs).join(", ")}, found ${name}`);
  }
  for (const [input, { dtype, shape }] of Object.entries(graph.inputs)) {
    const feed = feeds[input];
    const expected = dtype === "int32" ? Int32Array : Float32Array;
    if (!(feed instanceof expected) || feed.length !== elementCount(shape)) {
      const found = feed === undefined ? "nothing" : `${feed.constructor.name} of ${feed.length}`;
      throw new EngineError(
        "WrongFeed",
        `graph ${name}, input ${input}: expected ${expected.name} of ${elementCount(shape)} ([${shape.join()}]), found ${found}`,
      );
    }
  }
  for (const input of Object.keys(feeds)) {
    if (!(input in graph.inputs)) {
      throw new EngineError("WrongFeed", `graph ${name}: expected inputs ${Object.keys(graph.inputs).join(", ")}, found ${input}`);
    }
  }
  return graph;
}

export function requireTrainable(spec: ProgramSpec, name: string): void {
  const graph = spec.graphs[name];
  if (graph !== undefined && isTrainGraph(graph) && spec.optimizer !== undefined) return;
  throw new EngineError("NotATrainGraph", `graph ${name}: expected \`train: true\` and an optimizer in the program, found neither or one`);
}

/** Checks that `values` holds exactly the program's variables, each in its shape. */
export function checkVariables(spec: ProgramSpec, values: ReadonlyMap<string, NamedTensor>): void {
  for (const [name, shape] of Object.entries(spec.variables)) {
    const value = values.get(name);
    if (value === undefined || value.shape.join() !== shape.join() || value.data.length !== elementCount(shape)) {
      const found = value === undefined ? "nothing" : `[${value.shape.join()}] with ${value.data.length} values`;
      throw new EngineError("WrongVariable", `variable ${name}: expected [${shape.join()}], found ${found}`);
    }
  }
  for (const name of values.keys()) {
    if (!(name in spec.variables)) throw new EngineError("WrongVariable", `variable ${name}: expected a variable of the program, found none of that name`);
  }
}
