import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import { afterEach, expect, test, vi } from "vitest";
import { loadEntries } from "../../test/load-entries.ts";
import { offlineCache, tinyWheel } from "../../test/tiny-wheel.ts";
import { listWheels, readWheelMember, type Wheel } from "./wheel-source.ts";

const filesOf = (card: string, wheels: readonly Wheel[], largestFileBytes = 1000) => loadEntries(listWheels(card, wheels, largestFileBytes));

afterEach(() => {
  vi.unstubAllEnvs();
});

const A = tinyWheel("tiny-a", { "tiny_a/__init__.py": "a = 1\n", "tiny_a/data/": "", "tiny_a/data/x.bin": Uint8Array.of(0, 255) });
const B = tinyWheel("tiny-b", { "tiny_b.py": "b = 2\n" });

test("files of wheels lie below name and version, folders left out, with the wheel's licence", async () => {
  await offlineCache({ cached: [A, B] });
  const files = await filesOf("tiny", [A.pin, { ...B.pin, license: "BSD-3-Clause" }]);
  const ofPackages = files.filter(({ path }) => !path.includes("dist-info"));
  expect(ofPackages.map(({ path, bytes, license }) => [path, [...(bytes as Uint8Array)], license])).toEqual([
    ["tiny-a-1.0/tiny_a/__init__.py", [...Buffer.from("a = 1\n")], "MIT"],
    ["tiny-a-1.0/tiny_a/data/x.bin", [0, 255], "MIT"],
    ["tiny-b-1.0/tiny_b.py", [...Buffer.from("b = 2\n")], "BSD-3-Clause"],
  ]);
  expect(files.length).toBe(3 + 2 * 3);
});

test("a wheel in the cache is used without pip", async () => {
  await offlineCache({ cached: [A] });
  vi.stubEnv("PATH", "/nonexistent");
  expect(await filesOf("tiny", [A.pin])).toHaveLength(5);
});

test("a wheel that is not in the cache is fetched by pip, once, and nothing else is left there", async () => {
  const { wheels, links } = await offlineCache({ cached: [A], offered: [B] });
  expect(await filesOf("tiny", [A.pin, B.pin])).toHaveLength(9);
  expect((await readdir(wheels)).sort()).toEqual([A.pin.file, B.pin.file]);
  expect(sha256(await readFile(join(wheels, B.pin.file)))).toBe(B.pin.sha256);
  await rm(links, { recursive: true });
  expect(await filesOf("tiny", [A.pin, B.pin])).toHaveLength(9);
});

test("the cache's folder is made when it is not there", async () => {
  const { wheels } = await offlineCache({ offered: [A] });
  expect(await filesOf("tiny", [A.pin])).toHaveLength(5);
  expect(await readdir(wheels)).toEqual([A.pin.file]);
});

test("a damaged wheel in the cache is fetched again", async () => {
  const { wheels } = await offlineCache({ cached: [A], offered: [A] });
  await writeFile(join(wheels, A.pin.file), A.content.subarray(0, 100));
  expect(await filesOf("tiny", [A.pin])).toHaveLength(5);
});

test("a wheel that pip cannot find is missing, and the error says what to do next", async () => {
  const { wheels } = await offlineCache({ cached: [A] });
  await expect(filesOf("tiny", [A.pin, B.pin])).rejects.toMatchObject({
    code: "SourceMissing",
    retryable: false,
    message: expect.stringMatching(
      /^card tiny: expected its wheels from pip, found: ERROR: Could not find a version that satisfies .* ERROR: No matching distribution found for tiny-b==1\.0\. Check the network or put the wheel files into the cache's wheels folder, then `diffucoder retry`\.$/,
    ) as string,
  });
  expect(await readdir(wheels)).toEqual([A.pin.file]); // no half-fetched leftovers
});

test("a dead index is named as such", async () => {
  await offlineCache();
  vi.stubEnv("PIP_NO_INDEX", "0");
  vi.stubEnv("PIP_INDEX_URL", "http://127.0.0.1:9/simple");
  vi.stubEnv("PIP_RETRIES", "0");
  await expect(filesOf("tiny", [B.pin])).rejects.toMatchObject({ code: "SourceMissing", message: expect.stringContaining("No matching distribution found for tiny-b==1.0") as string });
});

test("a machine without Python is told so", async () => {
  await offlineCache({ offered: [A] });
  vi.stubEnv("PATH", "/nonexistent");
  await expect(filesOf("tiny", [A.pin])).rejects.toMatchObject({ code: "SourceMissing", message: expect.stringContaining("found: Error: spawn python3 ENOENT.") as string });
});

test("other bytes at the index under the same name and version are drift", async () => {
  const { wheels } = await offlineCache({ offered: [A, B] });
  const pin = { ...B.pin, sha256: "a".repeat(64) };
  await expect(filesOf("tiny", [A.pin, pin])).rejects.toMatchObject({
    code: "SourceDrift",
    message: `card tiny, ${B.pin.file}: expected sha256 ${pin.sha256}, found ${B.pin.sha256} at pip's index. Fetch the right revision, or review the change and update the card.`,
    details: { card: "tiny", subject: B.pin.file },
  });
  expect(await readdir(wheels)).toEqual([]);
});

test("other bytes in the cache are drift when pip has no better", async () => {
  const { wheels } = await offlineCache({ cached: [A, B] });
  const pin = { ...B.pin, sha256: "a".repeat(64) };
  await expect(filesOf("tiny", [A.pin, pin])).rejects.toMatchObject({
    code: "SourceDrift",
    message: expect.stringMatching(new RegExp(`^card tiny, ${B.pin.file}: expected sha256 a{64}, found ${B.pin.sha256} in the cache, and pip has no other: .*No matching distribution`)) as string,
  });
  expect(await readFile(join(wheels, B.pin.file))).toEqual(Buffer.from(B.content)); // left for its owner to look at
});

test("a card that names the file wrongly is told the right name", async () => {
  await offlineCache({ offered: [A] });
  await expect(filesOf("tiny", [{ ...A.pin, file: "tiny_a-1.0-py2-none-any.whl" }])).rejects.toMatchObject({
    code: "SourceDrift",
    message: expect.stringContaining(`card tiny, tiny_a-1.0-py2-none-any.whl: expected a wheel of this name, found ${A.pin.file}.`) as string,
  });
});

test("one member of a wheel is read by its path", async () => {
  await offlineCache({ cached: [A] });
  expect(Buffer.from(await readWheelMember("tiny", A.pin, "tiny_a/__init__.py")).toString()).toBe("a = 1\n");
  await expect(readWheelMember("tiny", A.pin, "tiny_a/none.py")).rejects.toMatchObject({
    code: "SourceMissing",
    message: `card tiny: expected member tiny_a/none.py in ${A.pin.file}, found none. Correct the card or \`member\` in the recipe.`,
  });
});
