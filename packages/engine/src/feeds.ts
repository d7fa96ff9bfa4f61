import type * as tf from "@tensorflow/tfjs-core";
import { EngineError } from "./errors.ts";
import { elementCount, isTrainGraph, type Feed, type GraphSpec, type KeptTensor, type NamedTensor, type ProgramSpec } from "./program.ts";

/** The named graph, with its feeds checked for name, type and length. */
export function checkedGraph(spec: ProgramSpec, name: string, feeds: Readonly<Record<string, Feed | KeptTensor>>): GraphSpec {
  const graph = spec.graphs[name];
  if (graph === undefined) {
    throw new EngineError("UnknownGraph", `graph: expected one of ${Object.keys(spec.graphs).join(", ")}, found ${name}`);
  }
  for (const [input, { dtype, shape }] of Object.entries(graph.inputs)) {
    const expected = { type: dtype === "int32" ? "Int32Array" : "Float32Array", count: elementCount(shape) };
    const found = describe(feeds[input]);
    if (found?.type !== expected.type || found.count !== expected.count) {
      throw new EngineError(
        "WrongFeed",
        `graph ${name}, input ${input}: expected ${expected.type} of ${expected.count} ([${shape.join()}]), found ${found === undefined ? "nothing" : `${found.type} of ${found.count}`}`,
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

function describe(feed: Feed | KeptTensor | undefined): { readonly type: string; readonly count: number } | undefined {
  if (feed === undefined) return undefined;
  if (isKept(feed)) return { type: feed.dtype === "int32" ? "Int32Array" : "Float32Array", count: elementCount(feed.shape) };
  return { type: feed.constructor.name, count: feed.length };
}

export const isKept = (feed: Feed | KeptTensor): feed is KeptTensor => "rows" in feed;

export function requireTrainable(spec: ProgramSpec, name: string): void {
  const graph = spec.graphs[name];
  if (graph !== undefined && isTrainGraph(graph) && spec.optimizer !== undefined) return;
  throw new EngineError("NotATrainGraph", `graph ${name}: expected \`train: true\` and an optimizer in the program, found neither or one`);
}

/** Sums of gradients are kept only where they were asked for. */
export function requireAccumulation(spec: ProgramSpec): void {
  if (spec.optimizer?.accumulates === true) return;
  throw new EngineError("NotATrainGraph", "program: expected an optimizer with `accumulates: true`, found none");
}

/** Moments belong to an optimizer. */
export function requireOptimizer(spec: ProgramSpec): void {
  if (spec.optimizer === undefined) throw new EngineError("NotATrainGraph", "program: expected an optimizer, found none");
}

/** The loss among the outputs of a train graph. */
export function lossOf(graph: string, { loss }: Record<string, tf.Tensor>): tf.Scalar {
  if (loss?.rank === 0) return loss as tf.Scalar;
  const found = loss === undefined ? "none" : `one of shape [${loss.shape.join()}]`;
  throw new EngineError("NotATrainGraph", `graph ${graph}: expected a scalar output loss, found ${found}`);
}

/** The gradient of a variable, given as `name` in the program and as `variable` in TensorFlow.js. */
export function gradientOf(graph: string, name: string, variable: tf.Variable, gradients: tf.NamedTensorMap): tf.Tensor {
  const gradient = gradients[variable.name];
  if (gradient !== undefined) return gradient;
  throw new EngineError("NotATrainGraph", `graph ${graph}: expected a loss that depends on every variable, found one that does not on ${name}`);
}

/** Checks that a graph has the outputs that are asked for. */
export function requireOutputs(graph: string, outputs: readonly string[], wanted: readonly string[]): void {
  const unknown = wanted.find((output) => !outputs.includes(output));
  if (unknown !== undefined) throw new EngineError("UnknownGraph", `graph ${graph}: expected outputs ${outputs.join(", ")}, found ${unknown}`);
}

export function disposed(): EngineError {
  return new EngineError("Disposed", "program: expected a live program, found a disposed one");
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
