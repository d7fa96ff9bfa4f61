import { mkdir, mkdtemp, readFile, readdir, readlink, rm, truncate, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readSafetensors, tensorsToWrite, writeSafetensors, type NamedTensor } from "./safetensors.ts";
import { WEIGHTS_FILE, WEIGHTS_INDEX, Weights, writeWeights } from "./sharded-safetensors.ts";

let directory: string;
const fileOf = async (path: string) => join(directory, path);
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "weights-"));
});
afterEach(() => rm(directory, { recursive: true }));

const tensor = (...values: number[]): NamedTensor => ({ shape: [values.length], data: Float32Array.from(values) });
/** 12, 8, 4 and 8 bytes as float32. */
const TENSORS = new Map([["z", tensor(1, 2, 3)], ["b", tensor(4, 5)], ["a", tensor(6)], ["y", tensor(7, 8)]]);
const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;

async function readWhole(): Promise<Map<string, NamedTensor>> {
  const weights = await Weights.open(fileOf);
  try {
    return await weights.readAll();
  } finally {
    await weights.close();
  }
}

describe("writing", () => {
  test("fills shards in the order given, each up to the size asked for", async () => {
    expect(await writeWeights(directory, tensorsToWrite(TENSORS, "F32"), 20)).toEqual([...SHARDS, WEIGHTS_INDEX]);
    expect([...(await readSafetensors(join(directory, SHARDS[0]))).keys()]).toEqual(["b", "z"]);
    expect([...(await readSafetensors(join(directory, SHARDS[1]))).keys()]).toEqual(["a", "y"]);
    expect(JSON.parse(await readFile(join(directory, WEIGHTS_INDEX), "utf8"))).toEqual({
      metadata: { total_size: 32, total_parameters: 8 },
      weight_map: { a: SHARDS[1], b: SHARDS[0], y: SHARDS[1], z: SHARDS[0] },
    });
    expect(await readWhole()).toEqual(TENSORS);
  });

  test("gives a tensor that is larger than a shard one of its own", async () => {
    await writeWeights(directory, tensorsToWrite(TENSORS, "F32"), 1);
    expect((await readdir(directory)).length).toBe(5);
    expect(await readWhole()).toEqual(TENSORS);
  });

  test("needs no index for one file, and counts bytes of the type on disk", async () => {
    expect(await writeWeights(directory, tensorsToWrite(TENSORS, "BF16"), 16)).toEqual([WEIGHTS_FILE]);
    expect(await readdir(directory)).toEqual([WEIGHTS_FILE]);
    expect(await readWhole()).toEqual(TENSORS);
    await writeWeights(directory, tensorsToWrite(TENSORS, "F16"), 15);
    expect(JSON.parse(await readFile(join(directory, WEIGHTS_INDEX), "utf8"))).toMatchObject({ metadata: { total_size: 16, total_parameters: 8 } });
  });

  test("mixes types, the widest first", async () => {
    const mixed = [...tensorsToWrite(new Map([["a", tensor(1)]]), "F16"), ...tensorsToWrite(new Map([["b", tensor(2)]]), "BF16"), ...tensorsToWrite(new Map([["c", tensor(3)]]), "F32")];
    await writeWeights(directory, mixed);
    expect([...(await readSafetensors(join(directory, WEIGHTS_FILE)))]).toEqual([["c", tensor(3)], ["b", tensor(2)], ["a", tensor(1)]]);
  });
});

describe("reading", () => {
  test("reads one tensor at a time, as numbers or as they stand there", async () => {
    await writeWeights(directory, tensorsToWrite(TENSORS, "BF16"), 10);
    const weights = await Weights.open(fileOf);
    expect(weights.entry("y")).toEqual({ dtype: "BF16", shape: [2], position: expect.any(Number) as number, bytes: 4, file: join(directory, SHARDS[1]) });
    expect(weights.entry("none")).toBeUndefined();
    expect(await weights.read("y")).toEqual(tensor(7, 8));
    expect([...(await weights.readBytes("a"))]).toEqual([0xc0, 0x40]); // 6 is 40c0
    await expect(weights.read("none")).rejects.toMatchObject({ code: "SafetensorsCorrupt", message: expect.stringContaining("expected a tensor none, found none of that name") as string });
    await weights.close();
  });

  test("says which tensor was cut off when a file shrinks while it is open", async () => {
    await writeSafetensors(join(directory, WEIGHTS_FILE), TENSORS);
    const weights = await Weights.open(fileOf);
    const { size } = await import("node:fs").then(({ statSync }) => statSync(join(directory, WEIGHTS_FILE)));
    await truncate(join(directory, WEIGHTS_FILE), size - 4);
    await expect(weights.read("z")).rejects.toThrow(/expected 12 bytes from offset \d+, found 8\. Fetch/);
    await weights.close();
  });

  const cases: [string, () => Promise<void>, string, string][] = [
    ["lacks a shard", () => unlink(join(directory, SHARDS[1])), WEIGHTS_INDEX, `expected a file ${SHARDS[1]} beside it for tensor a, found none`],
    ["has a shard that was cut off", () => truncate(join(directory, SHARDS[0]), 70), SHARDS[0], "expected a header of"],
    ["has a shard of other tensors", () => writeSafetensors(join(directory, SHARDS[0]), new Map([["z", tensor(1)]])), SHARDS[0], `expected tensor b as in ${WEIGHTS_INDEX}, found none of that name`],
    ["has a tensor that the index does not know", () => writeSafetensors(join(directory, SHARDS[1]), TENSORS), SHARDS[1], `expected the tensors of ${WEIGHTS_INDEX}, found also b`],
    ["has an index that is not JSON", () => writeFile(join(directory, WEIGHTS_INDEX), "{"), WEIGHTS_INDEX, "expected JSON, found Expected property name"],
    ["has an index of something else", () => writeFile(join(directory, WEIGHTS_INDEX), "{}"), WEIGHTS_INDEX, "expected an index of tensors, found\n✖ Invalid input: expected record, received undefined, found nothing\n  → at weight_map"],
    ["has an index of nothing", () => writeFile(join(directory, WEIGHTS_INDEX), '{"weight_map":{}}'), WEIGHTS_INDEX, "expected at least one tensor"],
    ["has a shard in whose place is a folder", () => unlink(join(directory, SHARDS[1])).then(() => mkdir(join(directory, SHARDS[1]))), SHARDS[1], "expected a file, found a directory"],
    ["has a name that no file can have", () => writeFile(join(directory, WEIGHTS_INDEX), '{"weight_map":{"a":"a\\u0000.safetensors"}}'), WEIGHTS_INDEX, "expected an index of tensors"],
    ["has a name that is too long for a file", () => writeFile(join(directory, WEIGHTS_INDEX), `{"weight_map":{"a":"${"a".repeat(300)}.safetensors"}}`), WEIGHTS_INDEX, "beside it for tensor a, found none"],
    ["points out of its folder", () => writeFile(join(directory, WEIGHTS_INDEX), '{"weight_map":{"a":"../a.safetensors"}}'), WEIGHTS_INDEX, "expected an index of tensors"],
  ];
  test.each(cases)("refuses a set that %s, naming the file", async (_, damage, file, problem) => {
    await writeWeights(directory, tensorsToWrite(TENSORS, "F32"), 20);
    await damage();
    await expect(Weights.open(fileOf)).rejects.toMatchObject({
      code: expect.stringMatching(/^(Safetensors|Checkpoint)Corrupt$/) as string,
      retryable: false,
      message: expect.stringContaining(problem) as string,
      details: { file: join(directory, file) },
    });
    if (process.platform !== "linux") return;
    const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
    expect((await Promise.all(links)).filter((path) => path.startsWith(directory))).toEqual([]);
  });

  test("of a file beside the shards of an earlier model takes the file, as transformers does", async () => {
    await writeWeights(directory, tensorsToWrite(TENSORS, "F32"), 20);
    const later = new Map([["a", tensor(8)]]);
    await writeSafetensors(join(directory, WEIGHTS_FILE), later);
    expect(await readWhole()).toEqual(later);
  });

  test("of weights that are not there says so", async () => {
    await expect(Weights.open(fileOf)).rejects.toMatchObject({ code: "CheckpointCorrupt", details: { file: join(directory, WEIGHTS_FILE) } });
  });

  test("does not take a failure of the disk for a missing index", async () => {
    const broken = async () => Promise.reject(Object.assign(new Error("disk"), { code: "EIO" }));
    await expect(Weights.open(broken)).rejects.toMatchObject({ code: "EIO" });
  });
});
