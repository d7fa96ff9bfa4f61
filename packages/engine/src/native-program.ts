import * as tf from "@tensorflow/tfjs-core";
import { nativeBackend, type Binding, type TensorHandle } from "./native-backend.ts";
import { roundMatrixProducts } from "./bf16-pass.ts";
import { apart, cellsOf, joined, type Cell } from "./cells.ts";
import { checkedGraph, checkVariables, disposed, gradientOf, isKept, lossOf, requireAccumulation, requireOptimizer, requireOutputs, requireTrainable } from "./feeds.ts";
import { DataType, Graph, shapeOf } from "./graph.ts";
import { NativeKeptTensor } from "./kept-tensor.ts";
import { hasNativeKernels } from "./native-kernels.ts";
import { foldSums, withOwnProducts } from "./own-products.ts";
import {
  elementCount,
  isTrainGraph,
  type AdamWSpec,
  type Feed,
  type GraphSpec,
  type KeptTensor,
  type NamedTensor,
  type OptimizerMoments,
  type Program,
  type ProgramSpec,
  type RunOptions,
} from "./program.ts";
import { Recorder } from "./recorder.ts";
import { loadSession } from "./session.ts";

/**
 * A program recorded once and replayed by libtensorflow.
 *
 * All graphs lie in one GraphDef, hence in one session, and so share the resource variables; a call computes only
 * what its fetches need. Values enter and leave through feeds and fetches: there is no variables file.
 */
export class NativeProgram implements Program {
  readonly #spec: ProgramSpec;
  readonly #cells: readonly Cell[];
  readonly #binding: Binding;
  readonly #outputsOf: ReadonlyMap<string, readonly string[]>;
  #session: number | undefined;
  /** Gradients in the sums since the last step. */
  #accumulated = 0;

  constructor(spec: ProgramSpec) {
    const backend = nativeBackend();
    const graph = new Graph();
    const cells = cellsOf(spec);
    const reads = declareVariables(graph, spec, cells);
    this.#spec = spec;
    this.#cells = cells;
    this.#binding = backend.binding;
    this.#outputsOf = new Map(
      Object.entries(spec.graphs).map(([name, graphSpec]) => {
        const recorder = new Recorder(backend, graph);
        return [name, recordGraph({ graph, recorder, spec, cells, reads, name, graphSpec })];
      }),
    );
    const computed = hasNativeKernels() ? foldSums(withOwnProducts(graph), graph.shapes) : graph;
    this.#session = loadSession(this.#binding, spec.dtype === "bf16" ? roundMatrixProducts(computed) : computed);
    const zeros = zerosOf(spec);
    this.#write("variable", zeros);
    if (spec.optimizer !== undefined) this.writeOptimizer({ first: zeros, second: zeros });
    if (spec.optimizer?.accumulates === true) this.#write("gradient_sum", zeros);
  }

  run(graph: string, feeds: Readonly<Record<string, Feed>>, fetch?: readonly string[], options?: RunOptions): Record<string, Feed> {
    checkedGraph(this.#spec, graph, feeds);
    const outputs = this.#outputsOf.get(graph)!;
    const names = fetch ?? outputs;
    requireOutputs(graph, outputs, names);
    const fetches = names.map((name) => outputNode(graph, name));
    if (options?.likeTraining === true) {
      requireTrainable(this.#spec, graph);
      fetches.push(`${graph}/gradient_norm`);
    }
    const values = this.#call(this.#namedFeeds(graph, feeds), fetches);
    return Object.fromEntries(names.map((name, index) => [name, values[index]!]));
  }

  runKeeping(graph: string, feeds: Readonly<Record<string, Feed | KeptTensor>>, { fetch, keep }: { readonly fetch: readonly string[]; readonly keep: readonly string[] }) {
    checkedGraph(this.#spec, graph, feeds);
    const names = [...fetch, ...keep];
    requireOutputs(graph, this.#outputsOf.get(graph)!, names);
    const handles = this.#execute(this.#namedFeeds(graph, feeds), names.map((name) => outputNode(graph, name)));
    const tensors = handles.map((handle) => new NativeKeptTensor(this.#binding, handle));
    const fetched = Object.fromEntries(fetch.map((name, index) => [name, tensors[index]!.take()]));
    return { fetched, kept: Object.fromEntries(keep.map((name, index) => [name, tensors[fetch.length + index]!])) };
  }

  accumulate(graph: string, feeds: Readonly<Record<string, Feed>>) {
    checkedGraph(this.#spec, graph, feeds);
    requireTrainable(this.#spec, graph);
    requireAccumulation(this.#spec);
    const names = this.#outputsOf.get(graph)!;
    const [, ...values] = this.#call(this.#namedFeeds(graph, feeds), [`${graph}/accumulated`, ...names.map((name) => outputNode(graph, name))]);
    this.#accumulated += 1;
    const outputs = Object.fromEntries(names.map((name, index) => [name, values[index]!]));
    return { loss: outputs.loss![0]!, outputs };
  }

  trainStep(graph: string, feeds: Readonly<Record<string, Feed>>, at: { readonly learningRate: number; readonly step: number }) {
    checkedGraph(this.#spec, graph, feeds);
    requireTrainable(this.#spec, graph);
    const { beta1, beta2, weightDecay, accumulates = false } = this.#spec.optimizer!;
    const names = this.#outputsOf.get(graph)!;
    const [, norm, ...values] = this.#call(
      [
        ...this.#namedFeeds(graph, feeds),
        scalarFeed("optimizer/learning_rate", at.learningRate),
        scalarFeed("optimizer/decay", at.learningRate * weightDecay),
        scalarFeed("optimizer/beta1_power", beta1 ** at.step),
        scalarFeed("optimizer/beta2_power", beta2 ** at.step),
        ...(accumulates ? [scalarFeed("optimizer/gradient_share", 1 / (this.#accumulated + 1))] : []),
      ],
      [accumulates ? `${graph}/settled` : `${graph}/updated`, `${graph}/gradient_norm`, ...names.map((name) => outputNode(graph, name))],
    );
    this.#accumulated = 0;
    const outputs = Object.fromEntries(names.map((name, index) => [name, values[index]!]));
    return { loss: outputs.loss![0]!, gradientNorm: norm![0]!, outputs };
  }

  readVariables(): Map<string, NamedTensor> {
    return this.#read("variable");
  }

  writeVariables(values: ReadonlyMap<string, NamedTensor>): void {
    this.#write("variable", values);
  }

  readOptimizer() {
    requireOptimizer(this.#spec);
    return { first: this.#read("first_moment"), second: this.#read("second_moment") };
  }

  writeOptimizer(moments: OptimizerMoments): void {
    requireOptimizer(this.#spec);
    this.#write("first_moment", moments.first);
    this.#write("second_moment", moments.second);
  }

  dispose(): void {
    if (this.#session === undefined) return;
    this.#binding.deleteSavedModel(this.#session);
    this.#session = undefined;
  }

  #read(slot: Slot): Map<string, NamedTensor> {
    const values = this.#call([], this.#cells.map(({ name }) => `${slot}/${name}/read`));
    const found = new Map(this.#cells.flatMap((cell, index) => apart(cell, values[index] as Float32Array)));
    return new Map(Object.keys(this.#spec.variables).map((name) => [name, found.get(name)!]));
  }

  #write(slot: Slot, values: ReadonlyMap<string, NamedTensor>): void {
    checkVariables(this.#spec, values);
    const feeds = this.#cells.map((cell) => ({
      node: `${slot}/${cell.name}/value`,
      shape: cell.shape,
      dtype: DataType.float32,
      // A variable may adopt the memory it is fed (where that happens to be aligned), so it is given a copy.
      values: joined(cell, values),
    }));
    this.#call(feeds, [`${slot}/written`]);
  }

  #namedFeeds(graph: string, feeds: Readonly<Record<string, Feed | KeptTensor>>): SessionFeed[] {
    return Object.entries(this.#spec.graphs[graph]!.inputs).map(([name, { dtype, shape }]) => ({
      node: `${graph}/input/${name}`,
      shape,
      dtype: DataType[dtype],
      values: feeds[name]!,
    }));
  }

  #call(feeds: readonly SessionFeed[], fetches: readonly string[]): Feed[] {
    return this.#execute(feeds, fetches).map((handle) => new NativeKeptTensor(this.#binding, handle).take());
  }

  #execute(feeds: readonly SessionFeed[], fetches: readonly string[]): TensorHandle[] {
    if (this.#session === undefined) throw disposed();
    const binding = this.#binding;
    const made: number[] = [];
    const idOf = ({ shape, dtype, values }: SessionFeed): number => {
      if (isKept(values)) return (values as NativeKeptTensor).id;
      made.push(binding.createTensor(shape, dtype, values));
      return made.at(-1)!;
    };
    try {
      return binding.runSavedModel(this.#session, feeds.map(idOf), feeds.map(({ node }) => `${node}:0`).join(), fetches.map((node) => `${node}:0`).join());
    } finally {
      for (const id of made) binding.deleteTensor(id);
    }
  }
}

type Slot = "variable" | "first_moment" | "second_moment" | "gradient_sum";

interface SessionFeed {
  readonly node: string;
  readonly shape: readonly number[];
  readonly dtype: number;
  readonly values: Feed | KeptTensor;
}

const FLOAT = { type: DataType.float32 } as const;

const outputNode = (graph: string, output: string): string => `${graph}/output/${output}`;

const scalarFeed = (node: string, value: number): SessionFeed => ({
  node,
  shape: [],
  dtype: DataType.float32,
  values: Float32Array.of(value),
});

function zerosOf(spec: ProgramSpec): Map<string, NamedTensor> {
  return new Map(
    Object.entries(spec.variables).map(([name, shape]) => [name, { shape, data: new Float32Array(elementCount(shape)) }]),
  );
}

/** Adds cells, their moments, and the nodes that read and write them; returns the read node of each cell. */
function declareVariables(graph: Graph, spec: ProgramSpec, cells: readonly Cell[]): ReadonlyMap<string, string> {
  const moments: Slot[] = spec.optimizer === undefined ? [] : ["first_moment", "second_moment"];
  const sums: Slot[] = spec.optimizer?.accumulates === true ? ["gradient_sum"] : [];
  const slots: Slot[] = ["variable", ...moments, ...sums];
  for (const slot of slots) {
    const assignments = cells.map(({ name, shape }) => {
      const node = `${slot}/${name}`;
      const attr = { dtype: FLOAT, shape: { shape: shapeOf(shape) }, shared_name: { s: new TextEncoder().encode(node) } };
      graph.add("VarHandleOp", [], attr, node);
      graph.add("ReadVariableOp", [node], { dtype: FLOAT }, `${node}/read`);
      const value = graph.placeholder(`${node}/value`, DataType.float32, shape);
      return graph.add("AssignVariableOp", [node, value], { dtype: FLOAT }, `${node}/write`);
    });
    graph.identity(`${slot}/written`, graph.float(1), assignments);
  }
  if (spec.optimizer !== undefined) {
    for (const name of ["learning_rate", "decay", "beta1_power", "beta2_power", ...(spec.optimizer.accumulates === true ? ["gradient_share"] : [])]) {
      graph.placeholder(`optimizer/${name}`, DataType.float32, []);
    }
  }
  return new Map(cells.map(({ name }) => [name, `variable/${name}/read`]));
}

/** Records one graph of the program; returns the names of its outputs. */
function recordGraph(options: {
  graph: Graph;
  recorder: Recorder;
  spec: ProgramSpec;
  cells: readonly Cell[];
  reads: ReadonlyMap<string, string>;
  name: string;
  graphSpec: GraphSpec;
}): readonly string[] {
  const { graph, recorder, spec, cells, reads, name, graphSpec } = options;
  const inputs = Object.fromEntries(
    Object.entries(graphSpec.inputs).map(([input, { dtype, shape }]) => {
      const tensor = tf.zeros([...shape], dtype);
      recorder.bind(tensor, graph.placeholder(`${name}/input/${input}`, DataType[dtype], shape));
      return [input, tensor];
    }),
  );
  const variables = Object.fromEntries(
    cells.map(({ name: variable, shape }) => {
      const tensor = tf.tidy(() => tf.variable(tf.zeros([...shape]))); // the variable holds on to the zeros by itself
      recorder.bind(tensor, reads.get(variable)!);
      return [variable, tensor];
    }),
  );
  try {
    return tf.tidy(() => {
      let outputs: Record<string, tf.Tensor> = {};
      const build = () => {
        outputs = graphSpec.build(inputs, { ...variables });
        return outputs;
      };
      if (isTrainGraph(graphSpec) && spec.optimizer !== undefined) {
        const loss = () => {
          const value = lossOf(name, build());
          for (const output of Object.values(outputs)) tf.keep(output);
          return value;
        };
        const { grads } = recorder.record(() => tf.variableGrads(loss, Object.values(variables)));
        const gradients = Object.entries(variables).map(([variable, tensor]) => recorder.nameOf(gradientOf(name, variable, tensor, grads)));
        const addUpdate = hasNativeKernels() ? addFusedAdamW : addAdamW;
        const update = { graph, name, variables: Object.keys(spec.variables), cells, gradients, optimizer: spec.optimizer, outputs: Object.keys(outputs) };
        if (spec.optimizer.accumulates === true) addAccumulatedUpdate(update, addUpdate);
        else addUpdate(update);
      } else {
        recorder.record(build);
      }
      for (const [output, tensor] of Object.entries(outputs)) {
        // A copy where there is an optimizer: an output may be a variable's own memory, which that writes to.
        graph.add(spec.optimizer === undefined ? "Identity" : "DeepCopy", [recorder.nameOf(tensor)], { T: { type: DataType[tensor.dtype as "float32"] } }, outputNode(name, output));
      }
      for (const tensor of Object.values(outputs)) tensor.dispose();
      return Object.keys(outputs);
    });
  } finally {
    for (const tensor of [...Object.values(inputs), ...Object.values(variables)]) tensor.dispose();
  }
}

interface Update {
  readonly graph: Graph;
  readonly name: string;
  /** Names, in their order. */
  readonly variables: readonly string[];
  readonly cells: readonly Cell[];
  /** Of each cell, the node that computes its gradient. */
  readonly gradients: readonly string[];
  readonly optimizer: AdamWSpec;
  readonly outputs: readonly string[];
}

/**
 * Adds the step on the mean of several gradients: `<name>/accumulated` puts one into the sums, `<name>/settled` takes the step
 * with the sums and one more, then begins them anew.
 */
function addAccumulatedUpdate(update: Update, addUpdate: (update: Update) => void): void {
  const { graph, name, cells, gradients } = update;
  const additions = cells.map((cell, index) => graph.add("AssignAddVariableOp", [`gradient_sum/${cell.name}`, gradients[index]!], { dtype: FLOAT }));
  graph.identity(`${name}/accumulated`, graph.float(1), additions);
  const means = cells.map((cell, index) => {
    const sum = graph.add("AddV2", [`gradient_sum/${cell.name}/read`, gradients[index]!], { T: FLOAT });
    return graph.add("Mul", [sum, "optimizer/gradient_share"], { T: FLOAT });
  });
  addUpdate({ ...update, gradients: means });
  const resets = cells.map((cell) => {
    const zeros = graph.add("ZerosLike", [`gradient_sum/${cell.name}/read`], { T: FLOAT });
    return graph.add("AssignVariableOp", [`gradient_sum/${cell.name}`, zeros, `^${name}/updated`], { dtype: FLOAT });
  });
  graph.identity(`${name}/settled`, graph.float(1), resets);
}

/**
 * Adds the optimizer step of one graph: `<name>/gradient_norm` and `<name>/updated`.
 *
 * One operation updates all variables where they lie, through values that were read from them, so it waits for all that read them:
 * every gradient, which are its operands, and the outputs.
 */
function addFusedAdamW({ graph, name, variables, cells, gradients, optimizer, outputs }: Update): void {
  const gradientOfCell = new Map(cells.map((cell, index) => [cell, gradients[index]!]));
  const decays = ({ members }: Cell) => optimizer.decays(members[0]!.name);
  const [decaying, kept] = [cells.filter(decays), cells.filter((cell) => !decays(cell))];
  const ordered = [...decaying, ...kept];
  const slots: Slot[] = ["variable", "first_moment", "second_moment"];
  const norm = graph.add("DiffucoderGlobalNorm", [...gradients, runsOf(graph, variables, cells)], { N: { i: gradients.length } }, `${name}/gradient_norm`);
  graph.add(
    "DiffucoderAdamW",
    [
      ...slots.flatMap((slot) => ordered.map((cell) => `${slot}/${cell.name}/read`)),
      ...ordered.map((cell) => gradientOfCell.get(cell)!),
      norm,
      "optimizer/learning_rate",
      "optimizer/beta1_power",
      "optimizer/beta2_power",
      ...outputs.map((output) => `^${outputNode(name, output)}`),
    ],
    {
      N: { i: ordered.length },
      beta1: { f: optimizer.beta1 },
      beta2: { f: optimizer.beta2 },
      epsilon: { f: optimizer.epsilon },
      weight_decay: { f: optimizer.weightDecay },
      clip_norm: { f: optimizer.clipNorm ?? 0 },
      decaying: { i: decaying.length },
    },
    `${name}/updated`,
  );
}

/** Where the gradient of each variable lies, [variables, 3] (cell, first element, count): squares are summed in the variables' order, however they are joined. */
function runsOf(graph: Graph, variables: readonly string[], cells: readonly Cell[]): string {
  const places = new Map(cells.flatMap(({ members }, cell) => members.map(({ name, first, count }) => [name, [cell, first, count]] as const)));
  const runs = Int32Array.from(variables.flatMap((variable) => places.get(variable)!));
  return graph.constant(DataType.int32, [variables.length, 3], new Uint8Array(runs.buffer));
}

/** The same step of TensorFlow's operations, for devices and machines that the kernels are not built for. */
function addAdamW({ graph, name, cells, gradients, optimizer }: Update): void {
  const halfSquares = gradients.map((gradient) => graph.add("L2Loss", [gradient], { T: FLOAT }));
  const sum = graph.add("AddN", halfSquares, { N: { i: halfSquares.length }, T: FLOAT });
  const square = graph.add("Mul", [sum, graph.float(2)], { T: FLOAT });
  const norm = graph.add("Sqrt", [square], { T: FLOAT }, `${name}/gradient_norm`);

  const updates = cells.flatMap(({ name: cell, members }, index) => {
    const node = `variable/${cell}`;
    const adam = graph.add(
      "ResourceApplyAdam",
      [
        node,
        `first_moment/${cell}`,
        `second_moment/${cell}`,
        "optimizer/beta1_power",
        "optimizer/beta2_power",
        "optimizer/learning_rate",
        graph.float(optimizer.beta1),
        graph.float(optimizer.beta2),
        graph.float(optimizer.epsilon),
        clipped(graph, gradients[index]!, norm, optimizer.clipNorm),
        // Outputs and decay read the value before the update, also where the gradient does not depend on it.
        `^${node}/read`,
      ],
      { T: FLOAT, use_locking: { b: false }, use_nesterov: { b: false } },
    );
    if (optimizer.weightDecay === 0 || !optimizer.decays(members[0]!.name)) return [adam];
    const decay = graph.add("Mul", [`${node}/read`, "optimizer/decay"], { T: FLOAT });
    return [graph.add("AssignSubVariableOp", [node, decay, `^${adam}`], { dtype: FLOAT })];
  });
  graph.identity(`${name}/updated`, norm, updates);
}

function clipped(graph: Graph, gradient: string, norm: string, limit: number | undefined): string {
  if (limit === undefined) return gradient;
  const bound = graph.add("Maximum", [norm, graph.float(limit)], { T: FLOAT });
  const scale = graph.add("RealDiv", [graph.float(limit), bound], { T: FLOAT });
  return graph.add("Mul", [gradient, scale], { T: FLOAT });
}
