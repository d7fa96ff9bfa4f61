import * as tf from "@tensorflow/tfjs-core";
import { EngineError } from "./errors.ts";
import { checkedGraph, checkVariables, requireTrainable } from "./feeds.ts";
import type { Feed, NamedTensor, OptimizerMoments, Program, ProgramSpec } from "./program.ts";

/** The same semantics as the native program, one operation at a time on whatever backend is loaded; fp32 only. */
export class EagerProgram implements Program {
  readonly #spec: ProgramSpec;
  readonly #variables: Record<string, tf.Variable>;
  readonly #first: Record<string, tf.Variable>;
  readonly #second: Record<string, tf.Variable>;

  constructor(spec: ProgramSpec) {
    if (spec.dtype !== "fp32") {
      throw new EngineError("UnsupportedDtype", `dtype: expected fp32 on the ${tf.getBackend()} backend, found ${spec.dtype}`);
    }
    this.#spec = spec;
    const zeros = () =>
      Object.fromEntries(Object.entries(spec.variables).map(([name, shape]) => [name, tf.variable(tf.zeros([...shape]))]));
    this.#variables = zeros();
    this.#first = zeros();
    this.#second = zeros();
  }

  run(graph: string, feeds: Readonly<Record<string, Feed>>, fetch?: readonly string[]): Record<string, Feed> {
    const { inputs, build } = checkedGraph(this.#spec, graph, feeds);
    return tf.tidy(() => {
      const outputs = build(tensorsOf(inputs, feeds), { ...this.#variables });
      return readAll(outputs, fetch ?? Object.keys(outputs));
    });
  }

  trainStep(graph: string, feeds: Readonly<Record<string, Feed>>, at: { readonly learningRate: number; readonly step: number }) {
    const { inputs, build } = checkedGraph(this.#spec, graph, feeds);
    requireTrainable(this.#spec, graph);
    return tf.tidy(() => {
      let outputs: Record<string, Feed> = {};
      const loss = () => {
        const built = build(tensorsOf(inputs, feeds), { ...this.#variables });
        outputs = readAll(built, Object.keys(built));
        return built.loss as tf.Scalar;
      };
      const { grads } = tf.variableGrads(loss, Object.values(this.#variables));
      return { loss: outputs.loss![0]!, gradientNorm: this.#applyAdamW(grads, at), outputs };
    });
  }

  readVariables(): Map<string, NamedTensor> {
    return readSlot(this.#variables);
  }

  writeVariables(values: ReadonlyMap<string, NamedTensor>): void {
    this.#write(this.#variables, values);
  }

  readOptimizer() {
    return { first: readSlot(this.#first), second: readSlot(this.#second) };
  }

  writeOptimizer(moments: OptimizerMoments): void {
    this.#write(this.#first, moments.first);
    this.#write(this.#second, moments.second);
  }

  dispose(): void {
    for (const slot of [this.#variables, this.#first, this.#second]) tf.dispose(Object.values(slot));
  }

  #write(slot: Record<string, tf.Variable>, values: ReadonlyMap<string, NamedTensor>): void {
    checkVariables(this.#spec, values);
    tf.tidy(() => {
      for (const [name, variable] of Object.entries(slot)) {
        const { shape, data } = values.get(name)!;
        variable.assign(tf.tensor(data.slice(), [...shape]));
      }
    });
  }

  #applyAdamW(gradients: tf.NamedTensorMap, at: { readonly learningRate: number; readonly step: number }): number {
    const { beta1, beta2, epsilon, weightDecay, decays, clipNorm } = this.#spec.optimizer!;
    const squares = Object.values(gradients).map((gradient) => tf.sum(tf.square(gradient)));
    const norm = tf.sqrt(tf.addN(squares)).dataSync()[0]!;
    const scale = clipNorm === undefined ? 1 : clipNorm / Math.max(norm, clipNorm);
    const rate = (at.learningRate * Math.sqrt(1 - beta2 ** at.step)) / (1 - beta1 ** at.step);
    for (const [name, variable] of Object.entries(this.#variables)) {
      const gradient = tf.mul(gradients[variable.name]!, scale);
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

function tensorsOf(inputs: ProgramSpec["graphs"][string]["inputs"], feeds: Readonly<Record<string, Feed>>): Record<string, tf.Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { dtype, shape }]) => [name, tf.tensor(feeds[name]!.slice(), [...shape], dtype)]),
  );
}

function readAll(outputs: Record<string, tf.Tensor>, names: readonly string[]): Record<string, Feed> {
  return Object.fromEntries(names.map((name) => [name, outputs[name]!.dataSync().slice() as Feed]));
}

function readSlot(slot: Record<string, tf.Variable>): Map<string, NamedTensor> {
  return new Map(Object.entries(slot).map(([name, variable]) => [name, { shape: variable.shape, data: variable.dataSync().slice() as Float32Array }]));
}
