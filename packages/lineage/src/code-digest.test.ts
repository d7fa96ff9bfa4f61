import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { folderWith, temporaryFolder } from "../test/temporary.ts";
import { codeIdentity } from "./code-digest.ts";

const PROGRAM = {
  "src/entry.ts": `
    import { readFileSync } from "node:fs";
    import { join } from "path";
    import { add } from "./lib/add.ts";
    import data from "./data.json" with { type: "json" };
    import { old } from "./old.cjs";
    import dep from "dep/deep/file.js";
    import { scoped } from "@scope/pkg";
    import { own } from "@diffucoder/own";
    export const run = (n: number): unknown => [add(n), data, old, dep, scoped, own, join("a"), readFileSync];
  `,
  "src/lib/add.ts": `
    const INCREMENT = 41;
    export function add(value: number): number {
      return value + INCREMENT;
    }
  `,
  "src/data.json": '{"answer": 1}',
  "src/old.cjs": "exports.old = 7;",
  "node_modules/dep/package.json": '{"name": "dep", "version": "1.2.3", "exports": {"./deep/file.js": "./deep/file.js"}}',
  "node_modules/dep/deep/file.js": "export default 1;",
  "node_modules/@scope/pkg/package.json": '{"name": "@scope/pkg", "version": "0.0.9", "main": "index.js"}',
  "node_modules/@scope/pkg/index.js": "export const scoped = 1;",
  "node_modules/@diffucoder/own/package.json":
    '{"name": "@diffucoder/own", "version": "0.1.0", "exports": {".": {"@diffucoder/source": "./src/index.ts", "default": "./dist/index.js"}}}',
  "node_modules/@diffucoder/own/src/index.ts": "export const own = 5;",
  "node_modules/@diffucoder/own/dist/index.js": "export const own = 'built';",
  "helper.py": "print(1)\n",
  "other/helper.py": "print(2)\n",
};

type Files = Record<string, string>;

const identityOf = (changes: Files = {}, assets: string[] = ["helper.py", "other/helper.py"], at = temporaryFolder()) => {
  for (const [path, content] of Object.entries({ ...PROGRAM, ...changes })) {
    mkdirSync(join(at, path, ".."), { recursive: true });
    writeFileSync(join(at, path), content);
  }
  return codeIdentity({ entry: join(at, "src/entry.ts"), assets: assets.map((path) => join(at, path)) });
};
const edit = (path: keyof typeof PROGRAM, from: string, to: string): Files => {
  expect(PROGRAM[path]).toContain(from);
  return { [path]: PROGRAM[path].replace(from, to) };
};

test("external packages are named with their installed versions; Node's own under node: are not", async () => {
  expect((await identityOf()).packages).toEqual({ dep: "1.2.3", "@scope/pkg": "0.0.9", path: "builtin" });
});

test("the digest is a sha256", async () => {
  expect((await identityOf()).digest).toMatch(/^[0-9a-f]{64}$/);
});

test.each<[string, () => Files]>([
  ["the folder it lies in", () => ({})],
  ["a comment", () => edit("src/lib/add.ts", "const INC", "// why 41\n const INC")],
  ["a legal comment", () => edit("src/lib/add.ts", "const INC", "/*! licence */ const INC")],
  ["white space", () => edit("src/lib/add.ts", "value + INCREMENT", "value    +\n\n INCREMENT")],
  ["a file that nothing imports", () => ({ "src/unused.ts": "export const x = 1;" })],
  ["an external package's code", () => edit("node_modules/dep/deep/file.js", "1", "2")],
  ["a workspace package's built files", () => edit("node_modules/@diffucoder/own/dist/index.js", "built", "built anew")],
  ["a workspace package's version", () => edit("node_modules/@diffucoder/own/package.json", "0.1.0", "0.2.0")],
])("%s does not change it", async (_, changes) => {
  expect(await identityOf(changes())).toEqual(await identityOf());
});

test("a file's place does not change it", async () => {
  const moved = edit("src/entry.ts", "./lib/add.ts", "./elsewhere/sum.ts");
  expect(await identityOf({ ...moved, "src/elsewhere/sum.ts": PROGRAM["src/lib/add.ts"] })).toEqual(await identityOf());
});

test("an asset's folder does not change it", async () => {
  const moved = await identityOf({ "assets/helper.py": PROGRAM["helper.py"] }, ["assets/helper.py", "other/helper.py"]);
  expect(moved).toEqual(await identityOf());
});

test.each<[string, () => Files]>([
  ["a constant", () => edit("src/lib/add.ts", "41", "42")],
  ["the entry", () => edit("src/entry.ts", "add(n)", "add(n + 1)")],
  ["imported data", () => edit("src/data.json", "1", "2")],
  ["a CommonJS file", () => edit("src/old.cjs", "7", "8")],
  ["a workspace package's source", () => edit("node_modules/@diffucoder/own/src/index.ts", "5", "6")],
  ["an external package's version", () => edit("node_modules/dep/package.json", "1.2.3", "1.2.4")],
  ["a scoped package's version", () => edit("node_modules/@scope/pkg/package.json", "0.0.9", "0.0.10")],
  ["an asset", () => edit("helper.py", "1", "3")],
  ["another asset of the same name", () => edit("other/helper.py", "2", "3")],
])("%s changes it", async (_, changes) => {
  expect((await identityOf(changes())).digest).not.toBe((await identityOf()).digest);
});

test("an asset's name and its presence change it", async () => {
  const digests = await Promise.all([
    identityOf(),
    identityOf({}, ["helper.py"]),
    identityOf({}, []),
    identityOf({ "renamed.py": PROGRAM["helper.py"] }, ["renamed.py", "other/helper.py"]),
  ]);
  expect(new Set(digests.map(({ digest }) => digest)).size).toBe(4);
});

test("a definition without assets is one with none", async () => {
  const folder = folderWith({ "entry.ts": "export const x = 1;" });
  const bare = await codeIdentity({ entry: join(folder, "entry.ts") });
  const other = folderWith({ "entry.ts": "export const x = 1;" });
  expect(await codeIdentity({ entry: join(other, "entry.ts"), assets: [] })).toEqual(bare);
  expect(bare.packages).toEqual({});
});

test("an external package is found in the nearest node_modules, upwards from the file that imports it", async () => {
  const inner = { "src/node_modules/dep/package.json": '{"version": "9.0.0"}' };
  expect((await identityOf(inner)).packages.dep).toBe("9.0.0");
});

test("the same code is bundled once in a process, until a file that it is made of has changed", async () => {
  const folder = folderWith({ "entry.ts": 'export { x } from "./x.ts";', "x.ts": "export const x = 1;", a: "" });
  const [entry, asset] = [join(folder, "entry.ts"), join(folder, "a")];
  await sleep(50); // what was written just now may be written again unnoticed
  const both = await Promise.all([codeIdentity({ entry }), codeIdentity({ entry })]);
  expect(both[0]).toBe(both[1]);
  expect(await codeIdentity({ entry })).toBe(both[0]);
  const withAsset = await codeIdentity({ entry, assets: [asset] });
  expect(withAsset).not.toBe(both[0]);
  writeFileSync(asset, "1");
  expect((await codeIdentity({ entry, assets: [asset] })).digest).not.toBe(withAsset.digest);
  expect(await codeIdentity({ entry })).toBe(both[0]);
  writeFileSync(join(folder, "x.ts"), "export const x = 2;");
  utimesSync(join(folder, "x.ts"), 1, 1); // as unpacking an archive does
  expect((await codeIdentity({ entry })).digest).not.toBe(both[0].digest);
  rmSync(join(folder, "x.ts"));
  await expect(codeIdentity({ entry })).rejects.toThrow("Could not resolve");
});

test("a failure is not remembered", async () => {
  const folder = folderWith({ "entry.ts": "export const = ;" });
  const entry = join(folder, "entry.ts");
  await expect(codeIdentity({ entry })).rejects.toThrow("Expected identifier");
  writeFileSync(entry, "export const x = 1;");
  expect((await codeIdentity({ entry })).digest).toMatch(/^[0-9a-f]{64}$/);
  await expect(codeIdentity({ entry, assets: [join(folder, "none")] })).rejects.toMatchObject({ code: "ENOENT" });
});
