import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";

/** TensorFlow's numbers for the element types in use (tensorflow/core/framework/types.proto). */
export const DataType = { float32: 1, int32: 3, bool: 10, bfloat16: 14 } as const;

/** One attribute of a node, as TensorFlow's `AttrValue`. */
export type Attribute =
  | { readonly type: number }
  | { readonly i: number }
  | { readonly f: number }
  | { readonly b: boolean }
  | { readonly s: Uint8Array }
  | { readonly shape: Shape }
  | { readonly tensor: { readonly dtype: number; readonly tensor_shape: Shape; readonly tensor_content: Uint8Array } }
  | { readonly list: { readonly i: readonly number[] } };

interface Shape {
  readonly dim: readonly { readonly size: number }[];
}

/** One operation. Inputs are `node`, `node:output` or `^node` (order only, no data). */
export interface Node {
  readonly name: string;
  readonly op: string;
  readonly input: readonly string[];
  readonly attr: Readonly<Record<string, Attribute>>;
  /** Such as `/device:GPU:0`: there or nowhere. Without it the runtime chooses. */
  readonly device?: string;
}

export const shapeOf = (dimensions: readonly number[]): Shape => ({ dim: dimensions.map((size) => ({ size })) });

/** A growing list of nodes with the few constructors that more than one place needs. */
export class Graph {
  readonly nodes: Node[] = [];
  /** Shapes of outputs, by their names, as far as they are known. */
  readonly shapes = new Map<string, readonly number[]>();
  readonly #constants = new Map<string, string>();
  #unnamed = 0;

  add(op: string, input: readonly string[], attr: Record<string, Attribute>, name?: string): string {
    const node = { name: name ?? `${op}_${this.#unnamed++}`, op, input, attr };
    this.nodes.push(node);
    return node.name;
  }

  placeholder(name: string, dtype: number, shape: readonly number[]): string {
    return this.add("Placeholder", [], { dtype: { type: dtype }, shape: { shape: shapeOf(shape) } }, name);
  }

  /** A constant; small equal ones share a node. */
  constant(dtype: number, shape: readonly number[], content: Uint8Array): string {
    const key = content.length <= 4096 ? `${dtype}:${shape.join()}:${Buffer.from(content).toString("base64")}` : undefined;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known !== undefined) return known;
    const tensor = { dtype, tensor_shape: shapeOf(shape), tensor_content: content };
    const name = this.add("Const", [], { dtype: { type: dtype }, value: { tensor } });
    if (key !== undefined) this.#constants.set(key, name);
    return name;
  }

  float(value: number): string {
    return this.constant(DataType.float32, [], new Uint8Array(Float32Array.of(value).buffer));
  }

  /** An output that is computed only after all of `before` have run. */
  identity(name: string, input: string, before: readonly string[] = []): string {
    return this.add("Identity", [input, ...before.map((node) => `^${node}`)], { T: { type: DataType.float32 } }, name);
  }

  /** Writes the graph as a SavedModel without signatures or variable files. */
  save(directory: string): void {
    const message = SavedModel.fromObject({
      saved_model_schema_version: 1,
      meta_graphs: [
        {
          meta_info_def: { tags: [SAVED_MODEL_TAG], tensorflow_version: "2.9.1" },
          graph_def: { node: this.nodes, versions: { producer: 1882, min_consumer: 0 } },
        },
      ],
    });
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "saved_model.pb"), SavedModel.encode(message).finish());
  }
}

export const SAVED_MODEL_TAG = "serve";

/** What this project writes of TensorFlow's messages. */
export const PROTO = join(import.meta.dirname, "graph.proto");

const SavedModel = protobuf
  .parse(readFileSync(PROTO, "utf8"), { keepCase: true })
  .root.lookupType("SavedModel");
