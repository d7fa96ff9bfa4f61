import type * as tf from "@tensorflow/tfjs-core";
import { EngineError } from "./errors.ts";
import { DataType } from "./graph.ts";
import type { Binding, TensorHandle } from "./native-backend.ts";
import type { Feed, KeptTensor } from "./program.ts";

/** An output of a session, by the binding's number for it. */
export class NativeKeptTensor implements KeptTensor {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32";
  readonly #binding: Binding;
  #id: number | undefined;

  constructor(binding: Binding, { id, shape, dtype }: TensorHandle) {
    this.shape = shape;
    this.dtype = dtype === DataType.int32 ? "int32" : "float32";
    this.#binding = binding;
    this.#id = id;
  }

  get id(): number {
    if (this.#id === undefined) throw disposedTensor();
    return this.#id;
  }

  rows(indices: Int32Array): Feed {
    const binding = this.#binding;
    const operands = [this.id, binding.createTensor([indices.length], DataType.int32, indices), binding.createTensor([], DataType.int32, Int32Array.of(0))];
    try {
      const [gathered] = binding.executeOp("GatherV2", [typeAttribute("Tparams", DataType[this.dtype]), typeAttribute("Tindices", DataType.int32), typeAttribute("Taxis", DataType.int32)], operands, 1);
      return new NativeKeptTensor(binding, gathered!).take();
    } finally {
      for (const id of operands.slice(1)) binding.deleteTensor(id);
    }
  }

  /** A copy of all of it, and its end. */
  take(): Feed {
    const values = this.#binding.tensorDataSync(this.id) as Feed;
    this.dispose();
    return values;
  }

  dispose(): void {
    if (this.#id !== undefined) this.#binding.deleteTensor(this.#id);
    this.#id = undefined;
  }
}

/** TF_ATTR_TYPE in tensorflow/c/tf_attrtype.h. */
const typeAttribute = (name: string, value: number) => ({ name, type: 4, value });

/** An output of the eager program. */
export class EagerKeptTensor implements KeptTensor {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32";
  readonly #tensor: tf.Tensor;

  /** @param tensor one that this owns */
  constructor(tensor: tf.Tensor) {
    this.shape = tensor.shape;
    this.dtype = tensor.dtype as "float32" | "int32";
    this.#tensor = tensor;
  }

  get tensor(): tf.Tensor {
    if (this.#tensor.isDisposed) throw disposedTensor();
    return this.#tensor;
  }

  rows(indices: Int32Array): Feed {
    const values = this.tensor.dataSync() as Feed;
    const width = values.length / this.shape[0]!;
    const rows = new (values.constructor as new (length: number) => Feed)(indices.length * width);
    indices.forEach((index, row) => rows.set(values.subarray(index * width, (index + 1) * width), row * width));
    return rows;
  }

  dispose(): void {
    this.#tensor.dispose();
  }
}

const disposedTensor = () => new EngineError("Disposed", "kept tensor: expected a live one, found one that was disposed of");
