import * as tf from "@tensorflow/tfjs-core";
import { cellsOf, type Cell } from "./cells.ts";
import { EngineError } from "./errors.ts";
import { checkedGraph, checkVariables, disposed, gradientOf, isKept, lossOf, requireAccumulation, requireOptimizer, requireOutputs, requireTrainable } from "./feeds.ts";
import { EagerKeptTensor } from "./kept-tensor.ts";
import type { Feed, KeptTensor, NamedTensor, OptimizerMoments, Program, ProgramSpec, RunOptions } from "./program.ts";
import { tidied } from "./tidied.ts";

/** The same semantics as the native program, one operation at a time on whatever backend is loaded; fp32 only. */
export class EagerProgram implements Program {
  readonly #spec: ProgramSpec;
  readonly #cells: readonly Cell[];
  readonly #variables: Record<string, tf.Variable>;
  readonly #first: Record<string, tf.Variable>;
  readonly #second: Record<string, tf.Variable>;
  /** Of gradients since the last step; empty unless the optimizer accumulates. */
  readonly #sums: Record<string, tf.Variable>;
  #accumulated = 0;
  #isDisposed = false;

  constructor(spec: ProgramSpec) {
    if (spec.dtype !== "fp32") {
      throw new EngineError("UnsupportedDtype", `dtype: expected fp32 on the ${tf.getBackend()} backend, found ${spec.dtype}`);
    }
    this.#spec = spec;
    this.#cells = cellsOf(spec);
    const zeros = () =>
      tf.tidy(() => Object.fromEntries(Object.entries(spec.variables).map(([name, shape]) => [name, tf.variable(tf.zeros([...shape]))])));
    this.#variables = zeros();
    this.#first = zeros();
    this.#second = zeros();
    this.#sums = spec.optimizer?.accumulates === true ? zeros() : {};
  }

  run(graph: string, feeds: Readonly<Record<string, Feed>>, fetch?: readonly string[], options?: RunOptions): Record<string, Feed> {
    const { inputs, build } = checkedGraph(this.#spec, graph, feeds);
    if (options?.likeTraining === true) requireTrainable(this.#spec, graph); // one operation at a time rounds alike anyhow
    this.#requireLive();
    return tidied(() => {
      const outputs = build(tensorsOf(inputs, feeds), this.#seen());
      requireOutputs(graph, Object.keys(outputs), fetch ?? []);
      return readAll(outputs, fetch ?? Object.keys(outputs));
    });
  }

  runKeeping(graph: string, feeds: Readonly<Record<string, Feed | KeptTensor>>, { fetch, keep }: { readonly fetch: readonly string[]; readonly keep: readonly string[] }) {
    const { inputs, build } = checkedGraph(this.#spec, graph, feeds);
    this.#requireLive();
    const kept: Record<string, KeptTensor> = {};
    const fetched = tidied(() => {
      const outputs = build(tensorsOf(inputs, feeds), this.#seen());
      requireOutputs(graph, Object.keys(outputs), [...fetch, ...keep]);
      for (const name of keep) kept[name] = new EagerKeptTensor(tf.keep(tf.clone(outputs[name]!)));
      return readAll(outputs, fetch);
    });
    return { fetched, kept };
  }

  accumulate(graph: string, feeds: Readonly<Record<string, Feed>>) {
    requireAccumulation(this.#spec);
    return tidied(() => {
      const { gradients, outputs } = this.#gradientsOf(graph, feeds);
      for (const [name, gradient] of gradients) this.#sums[name]!.assign(tf.add(this.#sums[name]!, gradient));
      this.#accumulated += 1;
      return { loss: outputs.loss![0]!, outputs };
    });
  }

  trainStep(graph: string, feeds: Readonly<Record<string, Feed>>, at: { readonly learningRate: number; readonly step: number }) {
    return tidied(() => {
      const { gradients, outputs } = this.#gradientsOf(graph, feeds);
      return { loss: outputs.loss![0]!, gradientNorm: this.#applyAdamW(this.#meansWith(gradients), at), outputs };
    });
  }

  #gradientsOf(graph: string, feeds: Readonly<Record<string, Feed>>): { gradients: readonly Gradient[]; outputs: Record<string, Feed> } {
    const { inputs, build } = checkedGraph(this.#spec, graph, feeds);
    requireTrainable(this.#spec, graph);
    this.#requireLive();
    let outputs: Record<string, Feed> = {};
    const loss = () => {
      const built = build(tensorsOf(inputs, feeds), this.#seen());
      outputs = readAll(built, Object.keys(built));
      return lossOf(graph, built);
    };
    const { grads } = tf.variableGrads(loss, Object.values(this.#variables));
    return { gradients: Object.entries(this.#variables).map(([name, variable]) => [name, gradientOf(graph, name, variable, grads)]), outputs };
  }

  /** The variables as graphs see them. */
  #seen(): Record<string, tf.Tensor> {
    return Object.fromEntries(this.#cells.map(({ name, members: [first, ...more] }) => [name, more.length === 0 ? this.#variables[first!.name]! : tf.concat([first!, ...more].map((member) => this.#variables[member.name]!))]));
  }

  /** Means of these gradients and those accumulated, which begin again from zero. */
  #meansWith(gradients: readonly Gradient[]): readonly Gradient[] {
    if (this.#accumulated === 0) return gradients;
    const share = 1 / (this.#accumulated + 1);
    this.#accumulated = 0;
    return gradients.map(([name, gradient]) => {
      const mean = tf.mul(tf.add(this.#sums[name]!, gradient), share);
      this.#sums[name]!.assign(tf.zerosLike(gradient));
      return [name, mean];
    });
  }

  readVariables(): Map<string, NamedTensor> {
    return this.#read(this.#variables);
  }

  writeVariables(values: ReadonlyMap<string, NamedTensor>): void {
    this.#write(this.#variables, values);
  }

  readOptimizer() {
    requireOptimizer(this.#spec);
    return { first: this.#read(this.#first), second: this.#read(this.#second) };
  }

  writeOptimizer(moments: OptimizerMoments): void {
    requireOptimizer(this.#spec);
    this.#write(this.#first, moments.first);
    this.#write(this.#second, moments.second);
  }

  dispose(): void {
    this.#isDisposed = true;
    for (const slot of [this.#variables, this.#first, this.#second, this.#sums]) tf.dispose(Object.values(slot));
  }

  #requireLive(): void {
    if (this.#isDisposed) throw disposed();
  }

  #read(slot: Record<string, tf.Variable>): Map<string, NamedTensor> {
    this.#requireLive();
    return new Map(Object.entries(slot).map(([name, variable]) => [name, { shape: variable.shape, data: variable.dataSync().slice() as Float32Array }]));
  }

  #write(slot: Record<string, tf.Variable>, values: ReadonlyMap<string, NamedTensor>): void {
    checkVariables(this.#spec, values);
    this.#requireLive();
    tf.tidy(() => {
      for (const [name, variable] of Object.entries(slot)) {
        const { shape, data } = values.get(name)!;
        variable.assign(tf.tensor(data.slice(), [...shape]));
      }
    });
  }

  #applyAdamW(gradients: readonly Gradient[], at: { readonly learningRate: number; readonly step: number }): number {
    const { beta1, beta2, epsilon, weightDecay, decays, clipNorm } = this.#spec.optimizer!;
    const squares = gradients.map(([, gradient]) => tf.sum(tf.square(gradient)));
    const norm = tf.sqrt(tf.addN(squares)).dataSync()[0]!;
    const scale = clipNorm === undefined ? 1 : clipNorm / Math.max(norm, clipNorm);
    const rate = (at.learningRate * Math.sqrt(1 - beta2 ** at.step)) / (1 - beta1 ** at.step);
    for (const [name, unclipped] of gradients) {
      const variable = this.#variables[name]!;
      const gradient = tf.mul(unclipped, scale);
      const first = tf.add(tf.mul(this.#first[name]!, beta1), tf.mul(gradient, 1 - beta1));
      const second = tf.add(tf.mul(this.#second[name]!, beta2), tf.mul(tf.square(gradient), 1 - beta2));
      const step = tf.mul(tf.div(first, tf.add(tf.sqrt(second), epsilon)), rate);
      const decay = decays(name) ? at.learningRate * weightDecay : 0;
      this.#first[name]!.assign(first);
      this.#second[name]!.assign(second);
      variable.assign(tf.sub(tf.mul(variable, 1 - decay), step));
    }
    return norm;
  }
}

type Gradient = readonly [variable: string, gradient: tf.Tensor];

function tensorsOf(inputs: ProgramSpec["graphs"][string]["inputs"], feeds: Readonly<Record<string, Feed | KeptTensor>>): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape }]) => {
      const feed = feeds[name]!;
      return [name, isKept(feed) ? tf.reshape((feed as EagerKeptTensor).tensor, [...shape]) : tf.tensor(feed, [...shape], dtype)]; // looks into the feed
    }),
  );
}

function readAll(outputs: Record<string, tf.Tensor>, names: readonly string[]): Record<string, Feed> {
  return Object.fromEntries(names.map((name) => [name, outputs[name]!.dataSync().slice() as Feed]));
}
