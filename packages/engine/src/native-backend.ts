import * as tf from "@tensorflow/tfjs-core";

/** The addon's low-level interface, as far as the recorder and the replay use it. */
export interface Binding {
  TF_Version: string;
  createTensor(shape: readonly number[], dtype: number, values: ArrayBufferView): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(name: string, attributes: readonly OpAttribute[], inputs: readonly number[], outputs: number): TensorHandle[];
  loadSavedModel(directory: string, tag: string): number;
  deleteSavedModel(session: number): void;
  runSavedModel(session: number, inputs: readonly number[], inputNames: string, outputNames: string): TensorHandle[];
}

export interface TensorHandle {
  readonly id: number;
  readonly shape: readonly number[];
  readonly dtype: number;
}

export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** tfjs-node's backend object: members may be swapped, and values wait in it until `getInputTensorIds` uploads them. */
export interface NativeBackend {
  binding: Binding;
  write(values: object, shape: number[], dtype: string): object;
  getInputTensorIds(tensors: readonly tf.Tensor[]): number[];
  executeMultipleOutputs(op: string, attributes: readonly OpAttribute[], inputs: readonly tf.Tensor[], outputs: number): tf.Tensor[];
  readonly isUsingGpuDevice: boolean;
}

/** The backend in use, which is tfjs-node's once `loadBackend` has said `native`. */
export function nativeBackend(): NativeBackend {
  return tf.backend() as unknown as NativeBackend;
}
