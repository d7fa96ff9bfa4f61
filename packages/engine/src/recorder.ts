import type * as tf from "@tensorflow/tfjs-core";
import type { Binding, NativeBackend, OpAttribute, TensorHandle } from "./native-backend.ts";
import { EngineError } from "./errors.ts";
import { DataType, type Attribute, type Graph } from "./graph.ts";
import { elementCount } from "./program.ts";

/**
 * Turns the operations that a function runs on the native backend into nodes of a graph.
 *
 * While recording, the backend's binding is replaced by one that runs every operation as usual and writes it down.
 * Tensors are known by the backend's ids; one that no recorded operation made is refused, since its value would be
 * frozen into the graph.
 */
export class Recorder {
  readonly #backend: NativeBackend;
  readonly #graph: Graph;
  readonly #nameOfId = new Map<number, string>();
  readonly #dtypeOfId = new Map<number, number>();

  constructor(backend: NativeBackend, graph: Graph) {
    this.#backend = backend;
    this.#graph = graph;
  }

  /** Makes `tensor` stand for an existing node of the graph. */
  bind(tensor: tf.Tensor, node: string): void {
    const id = this.#idOf(tensor);
    this.#nameOfId.set(id, node);
    this.#dtypeOfId.set(id, DataType[tensor.dtype as keyof typeof DataType]);
  }

  nameOf(tensor: tf.Tensor): string {
    return this.#nameOfKnown(this.#idOf(tensor), "an output");
  }

  record<T>(run: () => T): T {
    const backend = this.#backend;
    const { binding, write } = backend;
    const drawAtRandom = Math.random;
    const made = new WeakSet<object>();
    const memory = new SharedMemory(binding);
    backend.binding = this.#recording(binding, made, memory);
    backend.write = (values, shape, dtype) => {
      made.add(values);
      return write.call(backend, values, shape, dtype);
    };
    Math.random = refuseRandomness;
    try {
      return run();
    } finally {
      backend.binding = binding;
      backend.write = write;
      Math.random = drawAtRandom;
      memory.dispose();
    }
  }

  /** @param made values of the tensors made while recording; a tensor may be uploaded long after it was made */
  #recording(binding: Binding, made: WeakSet<object>, memory: SharedMemory): Binding {
    const recorded: Partial<Binding> = {
      createTensor: (shape, dtype, values) => {
        if (!made.has(values)) throw untracked("an operation");
        const id = binding.createTensor(shape, dtype, values);
        const content = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
        this.#nameOfId.set(id, this.#graph.constant(dtype, shape, content));
        this.#dtypeOfId.set(id, dtype);
        return id;
      },
      executeOp: (op, attributes, inputs, outputCount) => {
        const names = inputs.map((id) => this.#nameOfKnown(id, op));
        const attr = Object.fromEntries(attributes.map((attribute) => [attribute.name, attributeOf(op, attribute)]));
        for (const [index, name] of (INFERRED_TYPES[op] ?? []).entries()) attr[name] ??= { type: this.#dtypeOfId.get(inputs[index]!)! };
        const outputs = binding.executeOp(op, attributes, inputs, outputCount).map((output) => memory.inPlaceOf(output));
        const node = this.#graph.add(op, names, attr);
        outputs.forEach(({ id, dtype, shape }, index) => {
          const name = index === 0 ? node : `${node}:${index}`;
          this.#nameOfId.set(id, name);
          this.#dtypeOfId.set(id, dtype);
          this.#graph.shapes.set(name, shape);
        });
        return outputs;
      },
      tensorDataSync: (id) => {
        const name = this.#nameOfKnown(id, "a host read");
        // tf.gather checks its indices on the host; the check leaves no trace in the graph.
        if (isBoundsCheckOfGather()) return binding.tensorDataSync(id);
        throw new EngineError(
          "HostReadWhileRecording",
          `recording: expected tensors to stay on the device, found a host read of ${name}. Its value would be frozen; feed it as an input.`,
          { node: name },
        );
      },
    };
    // The binding's own properties cannot be redefined, so an empty object stands in for it.
    return new Proxy({} as Binding, {
      get: (_, key: keyof Binding) => {
        const value = recorded[key] ?? binding[key];
        return typeof value === "function" ? value.bind(binding) : value;
      },
    });
  }

  #idOf(tensor: tf.Tensor): number {
    return this.#backend.getInputTensorIds([tensor])[0]!;
  }

  #nameOfKnown(id: number, user: string): string {
    const name = this.#nameOfId.get(id);
    if (name !== undefined) return name;
    throw untracked(user);
  }
}

/** Memory of large results, one for all of as many floats: nobody looks at values, and TensorFlow.js holds each tensor until recording ends. */
class SharedMemory {
  readonly #binding: Binding;
  readonly #idOfCount = new Map<number, number>();

  constructor(binding: Binding) {
    this.#binding = binding;
  }

  /** The result itself, or in its place, if it is large, an earlier one in its shape. */
  inPlaceOf(result: TensorHandle): TensorHandle {
    const count = elementCount(result.shape);
    if (result.dtype !== DataType.float32 || count < LARGE_COUNT) return result;
    const earlier = this.#idOfCount.get(count);
    if (earlier === undefined) {
      this.#idOfCount.set(count, this.#reshaped(result.id, [count]).id);
      return result;
    }
    this.#binding.deleteTensor(result.id);
    return this.#reshaped(earlier, result.shape);
  }

  dispose(): void {
    for (const id of this.#idOfCount.values()) this.#binding.deleteTensor(id);
  }

  #reshaped(id: number, shape: readonly number[]): TensorHandle {
    const size = this.#binding.createTensor([shape.length], DataType.int32, Int32Array.from(shape));
    try {
      return this.#binding.executeOp("Reshape", [], [id, size], 1)[0]!;
    } finally {
      this.#binding.deleteTensor(size);
    }
  }
}

/** Floats of a result that is worth it: a quarter of a megabyte. */
const LARGE_COUNT = 2 ** 16;

function untracked(user: string): EngineError {
  return new EngineError(
    "UntrackedTensor",
    `recording: expected the operands of ${user} to be inputs, variables or made while recording, found a tensor from outside. ` +
      "Create constants inside `build`.",
    { op: user },
  );
}

/** Type attributes, by input, that tfjs-node leaves for eager execution to infer; a graph must state them. */
const INFERRED_TYPES: Readonly<Record<string, readonly string[]>> = { ExpandDims: ["T"] };

function refuseRandomness(): never {
  // TensorFlow.js names its operations so on the stack; the outermost is the one that was called.
  const op = [...(new Error().stack ?? "").matchAll(/(\w+)__op\b/g)].at(-1)?.[1] ?? "Math.random";
  throw new EngineError("RandomnessWhileRecording", `recording: expected a pure function, found a random draw by ${op}. Its value would be frozen; feed random values as inputs.`, { op });
}

function isBoundsCheckOfGather(): boolean {
  return /kernels[\\/]GatherV2\.js/.test(new Error().stack ?? "");
}

/** Attribute kinds of the C interface (tensorflow/c/tf_attrtype.h), as far as tfjs-node's kernels use them. */
function attributeOf(op: string, { name, type, value }: OpAttribute): Attribute {
  if (Array.isArray(value) && type === 1) return { list: { i: value as number[] } };
  switch (Array.isArray(value) ? undefined : type) {
    case 0:
      return { s: new TextEncoder().encode(value as string) };
    case 1:
      return { i: value as number };
    case 2:
      return { f: value as number };
    case 3:
      return { b: value as boolean };
    case 4:
      return { type: value as number };
  }
  throw new EngineError("UnsupportedAttribute", `recording: expected a known kind of attribute on ${op}.${name}, found ${Array.isArray(value) ? "a list of " : ""}type ${type}`, { op, name });
}
