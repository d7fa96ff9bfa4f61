import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { readSafetensors, writeSafetensors, type NamedTensor } from "./safetensors.ts";

let directory: string;
const fileOf = async (path: string) => join(directory, path);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "checkpoint-"));
});
afterEach(() => rm(directory, { recursive: true }));

const tensor = (...values: number[]): NamedTensor => ({ shape: [values.length], data: Float32Array.from(values) });
const parameters = new Map([
  ["b.weight", tensor(1, -2, 3)],
  ["a.weight", { shape: [2, 1], data: Float32Array.of(0.5, Number.MIN_VALUE) }],
]);

describe("safetensors", () => {
  it("have the published layout: u64 header length, JSON padded to 8, data in name order", async () => {
    const path = join(directory, "x.safetensors");
    await writeSafetensors(path, parameters);
    const bytes = await readFile(path);
    const headerBytes = Number(bytes.readBigUInt64LE());
    expect(headerBytes % 8).toBe(0);
    expect(JSON.parse(bytes.subarray(8, 8 + headerBytes).toString())).toEqual({
      __metadata__: { format: "pt" },
      "a.weight": { dtype: "F32", shape: [2, 1], data_offsets: [0, 8] },
      "b.weight": { dtype: "F32", shape: [3], data_offsets: [8, 20] },
    });
    expect(await readSafetensors(path)).toEqual(new Map([...parameters].sort()));
  });

  it("widen half precision", async () => {
    const path = join(directory, "half.safetensors");
    const header = JSON.stringify({
      bf: { dtype: "BF16", shape: [2], data_offsets: [0, 4] },
      h: { dtype: "F16", shape: [5], data_offsets: [4, 14] },
    });
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const halves = Uint16Array.of(0x3f80, 0xc000, 0x3c00, 0xc000, 0x0001, 0x7c00, 0x7e00);
    await writeFile(path, Buffer.concat([length, Buffer.from(header), Buffer.from(halves.buffer)]));
    const tensors = await readSafetensors(path);
    expect([...tensors.get("bf")!.data]).toEqual([1, -2]);
    expect([...tensors.get("h")!.data]).toEqual([1, -2, 2 ** -24, Infinity, NaN]);
  });

  it.each([
    ["a truncated file", async (path: string, size: number) => truncate(path, size - 1), /tensor b.weight: expected bytes up to/],
    ["a file without a header", async (path: string) => truncate(path, 4), /expected at least 8 bytes, found 4/],
    ["a header longer than the file", async (path: string) => truncate(path, 20), /expected a header of/],
    ["a header that is not JSON", async (path: string) => patch(path, '{"__meta', "xxxxxxxx"), /expected a JSON header/],
    ["an unknown dtype", async (path: string) => patch(path, "F32", "I32"), /expected dtype F32, BF16 or F16, found I32/],
    ["a shape that does not fit", async (path: string) => patch(path, "[2,1]", "[2,2]"), /tensor a.weight: expected 16 bytes/],
  ])("refuse %s", async (_, damage, message) => {
    const path = join(directory, "x.safetensors");
    await writeSafetensors(path, parameters);
    await damage(path, (await readFile(path)).length);
    await expect(readSafetensors(path)).rejects.toThrow(message);
    await expect(readSafetensors(path)).rejects.toMatchObject({ code: "SafetensorsCorrupt", details: { file: path } });
  });
});

describe("checkpoint", () => {
  const checkpoint: Checkpoint = {
    config: { hidden_size: 4 },
    parameters,
    tokenizerJson: "{}",
    optimizer: { first: parameters, second: new Map([["b.weight", tensor(9)]]) },
    trainerState: { step: 3 },
    metrics: [{ stage: "pretraining", step: 1, loss: 2.5 }],
  };

  it("comes back with and without its optimizer", async () => {
    await saveCheckpoint(directory, checkpoint);
    const whole = await loadCheckpoint(fileOf, true);
    expect(whole.optimizer!.first).toEqual(new Map([...parameters].sort()));
    expect(whole.optimizer!.second).toEqual(checkpoint.optimizer!.second);
    expect({ ...(await loadCheckpoint(fileOf)), parameters }).toEqual({ ...checkpoint, optimizer: undefined });
  });

  it("names a broken file and line", async () => {
    await saveCheckpoint(directory, checkpoint);
    await writeFile(join(directory, "metrics.jsonl"), '{"stage":"a","step":1}\n{"stage":"a"}\n');
    await expect(loadCheckpoint(fileOf)).rejects.toThrow(/metrics\.jsonl:2: expected/);
    await writeFile(join(directory, "trainer_state.json"), "{");
    await expect(loadCheckpoint(fileOf)).rejects.toMatchObject({ code: "CheckpointCorrupt" });
  });
});

async function patch(path: string, from: string, to: string): Promise<void> {
  await writeFile(path, (await readFile(path, "latin1")).replace(from, to), "latin1");
}
