import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readDataCard } from "../src/data-card.ts";
import { includedPaths } from "./included-paths.ts";

const CARDS = join(import.meta.dirname, "../../../data-cards");
const names = readdirSync(CARDS).sort();

test("the cards that the recipes name are here", () => {
  expect(names).toEqual(expect.arrayContaining(["generated-tasks.yaml", "humaneval.yaml", "python-wheels.yaml", "tiny-tasks.yaml"]));
});

test.each(names)("%s is complete and is called what its file is called", async (name) => {
  const card = await readDataCard(join(CARDS, name));
  expect(`${card.id}.yaml`).toBe(name);
});

test.each(names)("%s pins every wheel by one file, digest, version and licence", async (name) => {
  const { origin } = await readDataCard(join(CARDS, name));
  if (origin.kind !== "wheels") return expect(origin.license).toMatch(/^(Apache-2\.0|LicenseRef-various)$/); // this project's own, or unread
  for (const wheel of origin.wheels) {
    expect(wheel.file.toLowerCase()).toBe(`${wheel.name.replaceAll("-", "_")}-${wheel.version}-py3-none-any.whl`);
    expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(["MIT", "BSD-3-Clause", "Apache-2.0", "Apache-2.0 OR BSD-2-Clause"]).toContain(wheel.license);
  }
  expect(new Set(origin.wheels.map(({ sha256 }) => sha256)).size).toBe(origin.wheels.length);
});

test.each(["generated-tasks", "tiny-tasks"])("%s counts what the generator makes today", async (name) => {
  const card = await readDataCard(join(CARDS, `${name}.yaml`));
  expect(await includedPaths(card)).toHaveLength(card.counts!.files);
});
