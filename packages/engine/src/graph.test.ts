import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { DataType, Graph, PROTO } from "./graph.ts";

const bytes = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

describe("graph", () => {
  it("gives nodes that are not named names of their own", () => {
    const graph = new Graph();
    expect([graph.add("NoOp", [], {}), graph.add("NoOp", [], {}), graph.add("NoOp", [], {}, "mine")]).toEqual(["NoOp_0", "NoOp_1", "mine"]);
  });

  it("shares small constants of equal type, shape and content, and no others", () => {
    const graph = new Graph();
    const first = graph.constant(DataType.float32, [2], bytes(1, 2));
    expect(graph.constant(DataType.float32, [2], bytes(1, 2))).toBe(first);
    const others = [
      graph.constant(DataType.int32, [2], bytes(1, 2)),
      graph.constant(DataType.float32, [1, 2], bytes(1, 2)),
      graph.constant(DataType.float32, [2], bytes(1, 3)),
    ];
    expect(new Set([first, ...others]).size).toBe(4);
    expect(graph.float(3)).toBe(graph.constant(DataType.float32, [], bytes(3)));
    const [limit, beyond] = [new Uint8Array(4096), new Uint8Array(4100)];
    expect(graph.constant(DataType.float32, [1024], limit)).toBe(graph.constant(DataType.float32, [1024], limit));
    expect(graph.constant(DataType.float32, [1025], beyond)).not.toBe(graph.constant(DataType.float32, [1025], beyond));
  });

  it("is written in TensorFlow's own field numbers", () => {
    const directory = mkdtempSync(join(tmpdir(), "graph-"));
    try {
      const graph = new Graph();
      graph.placeholder("x", DataType.int32, [2, 3]);
      graph.identity("y", "x", ["before"]);
      graph.save(join(directory, "deep", "er"));
      const content = readFileSync(join(directory, "deep", "er", "saved_model.pb"));
      // SavedModel { saved_model_schema_version (field 1) = 1; meta_graphs (field 2) = ... }
      expect([...content.subarray(0, 3)]).toEqual([0x08, 0x01, 0x12]);
      const { root } = protobuf.parse(readFileSync(PROTO, "utf8"), { keepCase: true });
      const type = root.lookupType("SavedModel");
      expect(type.toObject(type.decode(content), { longs: Number })).toMatchObject({
        meta_graphs: [
          {
            meta_info_def: { tags: ["serve"] },
            graph_def: {
              node: [
                { name: "x", op: "Placeholder", attr: { dtype: { type: 3 }, shape: { shape: { dim: [{ size: 2 }, { size: 3 }] } } } },
                { name: "y", op: "Identity", input: ["x", "^before"], attr: { T: { type: 1 } } },
              ],
            },
          },
        ],
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
