import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256 } from "@diffucoder/lineage";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { temporaryDirectory } from "../test/temporary-directory.ts";
import { tinyCard } from "../test/tiny-card.ts";
import { readDataCard } from "./data-card.ts";

const { directory: _, sha256: __, largestFileBytes: ___, ...COMPLETE } = tinyCard();
const WHEEL = { name: "tiny", version: "1.0", file: "tiny-1.0-py3-none-any.whl", sha256: "a".repeat(64), license: "MIT" };

async function read(card: unknown) {
  const directory = await temporaryDirectory();
  const text = typeof card === "string" ? card : stringify(card);
  await writeFile(join(directory, "card.yaml"), text);
  return { directory, text, path: join(directory, "card.yaml"), card: await readDataCard(join(directory, "card.yaml")) };
}

test("a card is read with its defaults, its directory and the digest of its text", async () => {
  const { include: _, ...card } = COMPLETE;
  const { directory, text, card: found } = await read(card);
  expect(found).toEqual({ ...card, include: ["**/*.py"], largestFileBytes: 1048576, directory, sha256: sha256(text) });
  expect((await read({ ...card, nearDuplicates: {} })).card.nearDuplicates).toEqual({ threshold: 0.8 });
});

test("any change of the text, a comment too, is another digest", async () => {
  const text = stringify(COMPLETE);
  expect((await read(`${text}# reviewed\n`)).card.sha256).not.toBe((await read(text)).card.sha256);
});

test("a card that is not there is named with its path and what to do", async () => {
  await expect(readDataCard("/nowhere/card.yaml")).rejects.toMatchObject({
    code: "SourceMissing",
    retryable: false,
    message: "card /nowhere/card.yaml: expected a data card at /nowhere/card.yaml, found none (ENOENT). Correct `card` in the recipe.",
  });
});

test.each([
  ["broken syntax", "id: [", /card\.yaml: YAMLParseError: .* at line 1/],
  ["a key given twice", "id: a\nid: b\n", /Map keys must be unique/],
  ["an alias of nothing", "id: *a\n", /Unresolved alias/],
])("%s is an invalid card", async (_, text, message) => {
  await expect(read(text)).rejects.toMatchObject({ code: "InvalidCard", message: expect.stringMatching(message) as string });
});

test.each(Object.keys(COMPLETE).filter((key) => key !== "include" && key !== "counts"))("a card without %s is refused by name", async (key) => {
  const card: Record<string, unknown> = { ...COMPLETE };
  delete card[key];
  await expect(read(card)).rejects.toMatchObject({ code: "InvalidCard", message: expect.stringContaining(`at ${key}`) as string, details: { path: expect.stringContaining("card.yaml") as string } });
});

test.each(["version", "title", "description", "selection", "personalData", "benchmarkOverlap", "knownGaps", "fitUses", "unfitUses"])(
  "nothing may be left blank: %s",
  async (key) => {
    await expect(read({ ...COMPLETE, [key]: " \n" })).rejects.toMatchObject({ code: "InvalidCard", message: expect.stringMatching(new RegExp(`expected words, found none\\s+→ at ${key}$`)) as string });
  },
);

test.each([
  ["an unknown key", { licence: "MIT" }, 'Unrecognized key: "licence"'],
  ["an unknown key of the origin", { origin: { ...COMPLETE.origin, url: "x" } }, 'Unrecognized key: "url"'],
  ["an unknown key of a wheel", { origin: { kind: "wheels", wheels: [{ ...WHEEL, size: 1 }] } }, 'Unrecognized key: "size"'],
  ["an unknown key of the counts", { counts: { files: 1, bytes: 1, lines: 1 } }, 'Unrecognized key: "lines"'],
  ["an unknown key of nearDuplicates", { nearDuplicates: { treshold: 0.9 } }, 'Unrecognized key: "treshold"'],
  ["another kind of origin", { origin: { kind: "svn", path: "x" } }, "at origin.kind"],
  ["an id with capitals", { id: "Tiny" }, "at id"],
  ["no globs", { include: [] }, "at include"],
  ["no files", { counts: { files: 0, bytes: 1 } }, "at counts.files"],
  ["no bytes", { counts: { files: 1, bytes: 0 } }, "at counts.bytes"],
  ["half a file", { counts: { files: 1.5, bytes: 1 } }, "at counts.files"],
  ["files of no size", { largestFileBytes: 0 }, "at largestFileBytes"],
  ["a threshold of 0", { nearDuplicates: { threshold: 0 } }, "at nearDuplicates.threshold"],
  ["a threshold above 1", { nearDuplicates: { threshold: 1.1 } }, "at nearDuplicates.threshold"],
  ["no wheels", { origin: { kind: "wheels", wheels: [] } }, "at origin.wheels"],
  ["a wheel without a licence", { origin: { kind: "wheels", wheels: [{ ...WHEEL, license: "" }] } }, "at origin.wheels[0].license"],
  ["a wheel without a name", { origin: { kind: "wheels", wheels: [{ ...WHEEL, name: "" }] } }, "at origin.wheels[0].name"],
  ["a wheel without a version", { origin: { kind: "wheels", wheels: [{ ...WHEEL, version: "" }] } }, "at origin.wheels[0].version"],
  ["a wheel whose file lies elsewhere", { origin: { kind: "wheels", wheels: [{ ...WHEEL, file: "../tiny.whl" }] } }, "at origin.wheels[0].file"],
  ["a digest in capitals", { origin: { kind: "wheels", wheels: [{ ...WHEEL, sha256: "A".repeat(64) }] } }, "expected a sha256 in hexadecimal"],
  ["a short digest", { origin: { ...COMPLETE.origin, sha256: "a".repeat(63) } }, "at origin.sha256"],
  ["a tree without a path", { origin: { kind: "tree", path: "", license: "MIT" } }, "at origin.path"],
  ["a tree without a licence", { origin: { kind: "tree", path: "x" } }, "at origin.license"],
  ["a family that is not known", { origin: { kind: "generated-tasks", families: ["loops"], count: 1, seed: 1, license: "MIT" } }, "at origin.families[0]"],
  ["no family", { origin: { kind: "generated-tasks", families: [], count: 1, seed: 1, license: "MIT" } }, "at origin.families"],
  ["no programs", { origin: { kind: "generated-tasks", families: ["named"], count: 0, seed: 1, license: "MIT" } }, "at origin.count"],
  ["a negative seed", { origin: { kind: "generated-tasks", families: ["named"], count: 1, seed: -1, license: "MIT" } }, "at origin.seed"],
  ["programs without a licence", { origin: { kind: "generated-tasks", families: ["named"], count: 1, seed: 1, license: " " } }, "at origin.license"],
])("%s is refused by name", async (_, change, message) => {
  await expect(read({ ...COMPLETE, ...change })).rejects.toMatchObject({ code: "InvalidCard", message: expect.stringContaining(message) as string });
});

test("only a tree that no digest pins may leave out its counts", async () => {
  const { counts: _, ...uncounted } = COMPLETE;
  expect((await read(uncounted)).card.counts).toBeUndefined();
  const pinned = [
    { ...COMPLETE.origin, sha256: "a".repeat(64) },
    { kind: "wheels", wheels: [WHEEL] },
    { kind: "generated-tasks", families: ["named"], count: 1, seed: 1, license: "MIT" },
  ];
  for (const origin of pinned) {
    await expect(read({ ...uncounted, origin })).rejects.toMatchObject({ code: "InvalidCard", message: expect.stringMatching(/expected files and bytes of a pinned source, found none\s+→ at counts$/) as string });
  }
});

test("a text that is no mapping is refused", async () => {
  await expect(read("")).rejects.toMatchObject({ code: "InvalidCard" });
  await expect(read("- a\n")).rejects.toMatchObject({ code: "InvalidCard" });
});

test("each kind of origin is accepted when it is complete", async () => {
  const kindOf = async (origin: object) => (await read({ ...COMPLETE, origin })).card.origin;
  const wheels = { kind: "wheels", wheels: [WHEEL] };
  const tree = { kind: "tree", path: "x", sha256: "0".repeat(64), license: "MIT" };
  const tasks = { kind: "generated-tasks", families: ["linear", "branch", "named"], count: 1, seed: 0, license: "MIT" };
  for (const origin of [wheels, tree, tasks]) expect(await kindOf(origin)).toEqual(origin);
});
