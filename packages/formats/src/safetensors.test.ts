import { mkdtemp, readFile, readdir, readlink, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readSafetensors, writeSafetensors, type NamedTensor } from "./safetensors.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "safetensors-"));
  path = join(directory, "x.safetensors");
});
afterEach(() => rm(directory, { recursive: true }));

const tensor = (shape: number[], ...values: number[]): NamedTensor => ({ shape, data: Float32Array.from(values) });
const PAIR = new Map([
  ["b.weight", tensor([3], 1, -2, 3)],
  ["a.weight", tensor([2, 1], 0.5, Number.MIN_VALUE)],
]);

/** A file as the published format has it: length of the header, header, data. */
function fileOf(header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, data]);
}
const entry = (dtype: string, shape: number[], begin: number, end: number) => ({ dtype, shape, data_offsets: [begin, end] });

describe("writing", () => {
  /** @source https://github.com/huggingface/safetensors, README, "Format" */
  test("has the published layout: u64 header length, JSON padded to 8, data in name order", async () => {
    await writeSafetensors(path, PAIR);
    const bytes = await readFile(path);
    const headerBytes = Number(bytes.readBigUInt64LE());
    expect(headerBytes % 8).toBe(0);
    const header = bytes.subarray(8, 8 + headerBytes).toString();
    expect(header).toMatch(/^\{.*\} {0,7}$/);
    expect(JSON.parse(header)).toEqual({
      __metadata__: { format: "pt" },
      "a.weight": { dtype: "F32", shape: [2, 1], data_offsets: [0, 8] },
      "b.weight": { dtype: "F32", shape: [3], data_offsets: [8, 20] },
    });
    const data = new DataView(bytes.buffer, bytes.byteOffset + 8 + headerBytes);
    expect(data.byteLength).toBe(20);
    expect([0, 1, 2, 3, 4].map((i) => data.getFloat32(4 * i, true))).toEqual([0.5, 0, 1, -2, 3]); // MIN_VALUE is below float32
  });

  test("gives the bytes that the reference implementation gives for one tensor", async () => {
    // {"x": float32 [1.0]} written by hand: 0x3f800000 is 1.0
    await writeSafetensors(path, new Map([["x", tensor([1], 1)]]));
    const json = '{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'; // 85 characters
    expect(json).toHaveLength(85);
    expect(await readFile(path)).toEqual(fileOf(`${json}   `, Uint8Array.of(0, 0, 0x80, 0x3f)));
  });

  test.each(["x", "ünïcödé.weight", "模型.权重", "😀"])("aligns the data to 8 bytes, whatever the name: %s", async (name) => {
    for (let length = 0; length < 9; length++) {
      await writeSafetensors(path, new Map([[name + "n".repeat(length), tensor([1], 1)]]));
      const headerBytes = Number((await readFile(path)).readBigUInt64LE());
      expect(headerBytes % 8).toBe(0);
      expect((await readFile(path)).length).toBe(8 + headerBytes + 4);
      expect([...(await readSafetensors(path)).keys()]).toEqual([name + "n".repeat(length)]);
    }
  });

  test("does not depend on the order in which tensors were set", async () => {
    await writeSafetensors(path, PAIR);
    const bytes = await readFile(path);
    await writeSafetensors(path, new Map([...PAIR].reverse()));
    expect(await readFile(path)).toEqual(bytes);
  });

  test("takes views into larger arrays", async () => {
    const whole = Float32Array.from([9, 1, 2, 9]);
    await writeSafetensors(path, new Map([["view", { shape: [2], data: whole.subarray(1, 3) }]]));
    expect([...(await readSafetensors(path)).get("view")!.data]).toEqual([1, 2]);
  });

  test("refuses a shape that does not fit the values, naming the tensor", async () => {
    await expect(writeSafetensors(path, new Map([["w", tensor([2, 2], 1, 2, 3)]]))).rejects.toThrow(
      new RangeError("tensor w: expected 4 values for shape [2,2], found 3"),
    );
    expect(await readdir(directory)).toEqual([]);
  });
});

describe("reading", () => {
  test("gives back what was written, to the bit", async () => {
    const shape = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });
    const tensors = fc.uniqueArray(
      fc.tuple(
        fc.string().filter((name) => name !== "__metadata__" && name !== "__proto__"),
        shape.chain((dimensions) => {
          const length = dimensions.reduce((product, dimension) => product * dimension, 1);
          return fc.record({ shape: fc.constant(dimensions), data: fc.float32Array({ minLength: length, maxLength: length }) });
        }),
      ),
      { selector: ([name]) => name, maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(tensors, async (entries) => {
        await writeSafetensors(path, new Map(entries));
        const read = await readSafetensors(path);
        expect([...read.keys()].sort()).toEqual(entries.map(([name]) => name).sort());
        for (const [name, { shape: expected, data }] of entries) {
          expect(read.get(name)!.shape).toEqual(expected);
          expect(read.get(name)!.data).toEqual(data);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("widens half precision", async () => {
    // bfloat16: 3f80 is 1, c000 is -2, 7fc0 is NaN, ff80 is -Infinity: the upper half of a float32.
    // binary16: 3c00 is 1, c000 is -2, 0001 is the least subnormal 2^-24, 03ff the largest (1023/1024)*2^-14, 7bff is 65504.
    const header = { bf: entry("BF16", [4], 0, 8), h: entry("F16", [2, 5], 8, 28) };
    const halves = Uint16Array.of(0x3f80, 0xc000, 0x7fc0, 0xff80, 0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000, 0x3555);
    await writeFile(path, fileOf(header, new Uint8Array(halves.buffer)));
    const tensors = await readSafetensors(path);
    expect([...tensors.get("bf")!.data]).toEqual([1, -2, NaN, -Infinity]);
    // 3555: exponent 13, fraction 341: (1 + 341/1024) * 2^-2
    expect([...tensors.get("h")!.data]).toEqual([1, -2, 2 ** -24, -(1023 / 1024) * 2 ** -14, 65504, Infinity, -Infinity, NaN, -0, 0.333251953125]);
    expect(tensors.get("h")!.shape).toEqual([2, 5]);
  });

  test("takes a file whose tensors are not in the order of their names, and one without metadata or tensors", async () => {
    const data = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
    await writeFile(path, fileOf({ z: entry("F32", [1], 0, 4), a: entry("F32", [2], 4, 12) }, data));
    expect(await readSafetensors(path)).toEqual(new Map([["z", tensor([1], 1)], ["a", tensor([2], 2, 3)]]));
    await writeFile(path, fileOf({}));
    expect(await readSafetensors(path)).toEqual(new Map());
  });

  test("takes scalars, and empty tensors before and after others", async () => {
    const header = { full: entry("F32", [], 0, 4), none: entry("F32", [0, 7], 0, 0), last: entry("F32", [3, 0], 4, 4) };
    await writeFile(path, fileOf(header, new Uint8Array(Float32Array.of(5).buffer)));
    expect(await readSafetensors(path)).toEqual(new Map([["full", tensor([], 5)], ["none", tensor([0, 7])], ["last", tensor([3, 0])]]));
  });

  // {"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} has 54 characters: its data begins at byte 62.
  const floats = (count: number) => new Uint8Array(4 * count);
  const cases: [string, () => Buffer, string][] = [
    ["an empty file", () => Buffer.alloc(0), "expected at least 8 bytes, found 0"],
    ["a file that ends within the header's length", () => Buffer.alloc(7), "expected at least 8 bytes, found 7"],
    ["a header longer than the file", () => fileOf({}).subarray(0, 9), "expected a header of 2 bytes, found a file of 9"],
    ["a header of absurd length", () => Buffer.alloc(16, 0xff), "expected a header of 18446744073709552000 bytes, found a file of 16"],
    ["a header that is not JSON", () => fileOf("{x"), "expected a JSON header, found Expected property name or '}' in JSON at position 1 (line 1 column 2)"],
    ["a header that is no text", () => fileOf({ ab: entry("F32", [0], 0, 0) }).fill(0xff, 10, 11), "expected a header in UTF-8, found other bytes"],
    ["a header that is no object", () => fileOf("null"), "expected a header of tensors, found\n✖ Invalid input: expected object, received null, found null"],
    ["metadata that is no text", () => fileOf({ __metadata__: { n: 1 } }), "expected a header of tensors, found\n✖ Invalid input: expected string, received number, found 1\n  → at __metadata__.n"],
    ["a tensor without a place", () => fileOf({ w: { dtype: "F32", shape: [1] } }), "expected a header of tensors, found\n✖ Invalid input: expected tuple, received undefined, found nothing\n  → at w.data_offsets"],
    ["a negative offset", () => fileOf({ w: entry("F32", [1], -4, 0) }, floats(1)), "expected a header of tensors, found\n✖ Too small: expected number to be >=0, found -4\n  → at w.data_offsets[0]"],
    ["a broken dimension", () => fileOf({ w: entry("F32", [0.5], 0, 2) }, floats(1)), "expected a header of tensors, found\n✖ Invalid input: expected int, received number, found 0.5\n  → at w.shape[0]"],
    ["a shape that does not fit", () => fileOf({ w: entry("F32", [2, 2], 0, 12) }, floats(3)), "tensor w: expected 16 bytes for shape [2,2], found 12"],
    ["a half-precision shape that does not fit", () => fileOf({ w: entry("F16", [3], 0, 12) }, floats(3)), "tensor w: expected 6 bytes for shape [3], found 12"],
    [
      "tensors that overlap",
      () => fileOf({ v: entry("F32", [2], 0, 8), w: entry("F32", [2], 4, 12) }, floats(3)),
      "tensor w: expected bytes from offset 8, found from 4",
    ],
    [
      "two tensors at one place",
      () => fileOf({ v: entry("F32", [1], 0, 4), w: entry("F32", [1], 0, 4) }, floats(1)),
      "tensor w: expected bytes from offset 4, found from 0",
    ],
    [
      "a gap between tensors",
      () => fileOf({ w: entry("F32", [1], 8, 12), v: entry("F32", [1], 0, 4) }, floats(3)),
      "tensor w: expected bytes from offset 4, found from 8",
    ],
    ["a gap before the first tensor", () => fileOf({ w: entry("F32", [1], 4, 8) }, floats(2)), "tensor w: expected bytes from offset 0, found from 4"],
    ["a file that ends within a tensor", () => fileOf({ w: entry("F32", [2], 0, 8) }, floats(2)).subarray(0, -1), "tensor w: expected bytes up to 70, found a file of 69"],
    ["bytes that belong to no tensor", () => fileOf({ w: entry("F32", [1], 0, 4) }, floats(2)), "expected 66 bytes, found a file of 70"],
  ];
  test.each(cases)("refuses %s, naming file, tensor, what was expected and found", async (_, content, problem) => {
    await writeFile(path, content());
    await expect(readSafetensors(path)).rejects.toMatchObject({
      name: "SafetensorsCorrupt",
      code: "SafetensorsCorrupt",
      retryable: false,
      message: `${path}: ${problem}. Fetch or build the checkpoint again`,
      details: { file: path, problem },
    });
  });

  test.each(["I32", "F8_E4M3", "toString"])("refuses numbers of type %s, and says that a whole file would not help", async (dtype) => {
    await writeFile(path, fileOf({ w: entry(dtype, [1], 0, 4) }, floats(1)));
    await expect(readSafetensors(path)).rejects.toThrow(`${path}: tensor w: expected dtype F32, BF16 or F16, found ${dtype}. Use weights in one of these, neither quantized nor in double precision`);
  });

  test("refuses a header that is larger than the format allows before it reads it", async () => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(100_000_001n);
    await writeFile(path, length);
    await truncate(path, 100_000_009); // takes no room on disk
    await expect(readSafetensors(path)).rejects.toThrow("expected a header of at most 100000000 bytes, found one of 100000001");
  });

  test("reads or refuses whatever stands in a header, naming the file", async () => {
    const sizes = fc.oneof(fc.nat(16), fc.constantFrom(-4, -0, 0.5, 1e400, 2 ** 52, 2 ** 53, "4", null));
    const tensors = fc.dictionary(
      fc.oneof(fc.constantFrom("w", "__proto__", "constructor", ""), fc.string()),
      fc.oneof(fc.record({ dtype: fc.constantFrom("F32", "BF16", "F16", "F64", "hasOwnProperty", 1), shape: fc.array(sizes, { maxLength: 3 }), data_offsets: fc.array(sizes, { minLength: 1, maxLength: 3 }) }), fc.jsonValue()),
      { maxKeys: 3 },
    );
    await fc.assert(
      fc.asyncProperty(tensors, fc.nat(20), fc.nat(60), async (header, dataBytes, cut) => {
        await writeFile(path, fileOf(header, new Uint8Array(dataBytes)).subarray(0, cut === 60 ? undefined : -cut || undefined));
        const read = await readSafetensors(path).catch((error: unknown) => error);
        if (read instanceof Map) for (const { shape, data } of (read as Map<string, NamedTensor>).values()) expect(data.length).toBe(shape.reduce((product, size) => product * size, 1));
        else expect(read).toMatchObject({ code: "SafetensorsCorrupt", message: expect.stringContaining(`${path}: `) as string, retryable: false });
      }),
      { numRuns: 300 },
    );
  });

  test("refuses a file that was cut off anywhere", async () => {
    await writeSafetensors(path, PAIR);
    const whole = await readFile(path);
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      await expect(readSafetensors(path)).rejects.toMatchObject({ code: "SafetensorsCorrupt" });
    }
  });

  test("of a missing file says so", async () => {
    await expect(readSafetensors(join(directory, "none"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  test.skipIf(process.platform !== "linux")("leaves no file open, whether it succeeds or not", async () => {
    await writeSafetensors(path, PAIR);
    await readSafetensors(path);
    await truncate(path, 30);
    await readSafetensors(path).catch(() => {});
    const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
    expect(await Promise.all(links)).not.toContain(path);
  });
});
