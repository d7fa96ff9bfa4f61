import type * as tf from "@tensorflow/tfjs-core";

/** Values handed to a graph or fetched from it, row-major. */
export type Feed = Float32Array | Int32Array;

/** A tensor that stays where it was computed until it is disposed of; a later call of the same program may be fed it. */
export interface KeptTensor {
  readonly dtype: InputSpec["dtype"];
  readonly shape: readonly number[];
  /** A copy of some rows of the first axis, in the order of the indices. */
  rows(indices: Int32Array): Feed;
  dispose(): void;
}

export interface NamedTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface InputSpec {
  readonly dtype: "float32" | "int32";
  readonly shape: readonly number[];
}

/**
 * A pure function of inputs and variables. It is called once, to be recorded: whatever it reads on the host or
 * draws at random would be frozen, so both are refused.
 */
export interface GraphSpec {
  readonly inputs: Readonly<Record<string, InputSpec>>;
  build(inputs: Record<string, tf.Tensor>, variables: Record<string, tf.Tensor>): Record<string, tf.Tensor>;
}

/** A graph that can also be trained on: `build` returns a scalar `loss` among its outputs. */
export interface TrainGraphSpec extends GraphSpec {
  readonly train: true;
}

/**
 * Adam with decoupled weight decay and clipping by global norm.
 *
 * @source Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101v3, algorithm 2
 * @deviation epsilon is added before the bias correction of the second moment (TensorFlow's "epsilon hat")
 */
export interface AdamWSpec {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  /** Which variables decay; usually the matrices. Joined ones do as their first. */
  decays(name: string): boolean;
  /** Largest global gradient norm; undefined leaves gradients as they are. */
  readonly clipNorm: number | undefined;
  /** Whether gradients of several calls can make one step (`accumulate`), for one more copy of the variables; not unless given. */
  readonly accumulates?: boolean;
}

export interface ProgramSpec {
  readonly variables: Readonly<Record<string, readonly number[]>>;
  /**
   * Variables that graphs see as one, joined along their first axis, by the name under which they see it (and not under their own):
   * projections of one input are then one product, with nothing to be joined or split in a step.
   */
  readonly joins?: Readonly<Record<string, readonly string[]>>;
  /** Several shapes of one computation are several graphs; all share the variables. */
  readonly graphs: Readonly<Record<string, GraphSpec | TrainGraphSpec>>;
  readonly optimizer?: AdamWSpec;
  /** bf16 rounds only the operands of matrix products; everything else stays fp32. */
  readonly dtype: "fp32" | "bf16";
}

export interface OptimizerMoments {
  readonly first: ReadonlyMap<string, NamedTensor>;
  readonly second: ReadonlyMap<string, NamedTensor>;
}

export interface RunOptions {
  /**
   * Also computes the gradient (and drops it), so that outputs are bit-equal to those of `trainStep`. The runtime
   * fuses a forward-only graph differently, which moves the last bits.
   */
  readonly likeTraining?: boolean;
}

/** A set of variables and the graphs over them. Every call is synchronous and repeatable to the bit on one machine. */
export interface Program {
  /** Computes outputs without changing anything. `fetch` defaults to all outputs. */
  run(graph: string, feeds: Readonly<Record<string, Feed>>, fetch?: readonly string[], options?: RunOptions): Record<string, Feed>;
  /**
   * `run` of which some outputs stay where they are: `fetch` comes to the host, the caller disposes of what it has in `keep`.
   *
   * @throws EngineError `Disposed` when fed a tensor that was disposed of
   */
  runKeeping(
    graph: string,
    feeds: Readonly<Record<string, Feed | KeptTensor>>,
    outputs: { readonly fetch: readonly string[]; readonly keep: readonly string[] },
  ): { readonly fetched: Record<string, Feed>; readonly kept: Record<string, KeptTensor> };
  /**
   * Adds the gradient of these feeds to those that the next `trainStep` takes the mean of, and changes nothing else.
   *
   * @throws EngineError `NotATrainGraph` when the optimizer does not accumulate
   */
  accumulate(graph: string, feeds: Readonly<Record<string, Feed>>): { loss: number; outputs: Record<string, Feed> };
  /** One optimizer step, with the mean of this gradient and those accumulated since the last one. `step` counts from 1. Outputs are those before the update. */
  trainStep(
    graph: string,
    feeds: Readonly<Record<string, Feed>>,
    at: { readonly learningRate: number; readonly step: number },
  ): { loss: number; gradientNorm: number; outputs: Record<string, Feed> };
  readVariables(): Map<string, NamedTensor>;
  writeVariables(values: ReadonlyMap<string, NamedTensor>): void;
  readOptimizer(): { first: Map<string, NamedTensor>; second: Map<string, NamedTensor> };
  writeOptimizer(moments: OptimizerMoments): void;
  dispose(): void;
}

export const elementCount = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

export const isTrainGraph = (graph: GraphSpec): graph is TrainGraphSpec => "train" in graph;
