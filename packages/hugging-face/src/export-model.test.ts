import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensors } from "@diffucoder/formats";
import { sha256 } from "@diffucoder/lineage";
import { toHuggingFace } from "@diffucoder/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Workplace, model, parameters, tokenizer } from "../test/fixtures.ts";
import { exportModel } from "./export-model.ts";

let workplace: Workplace;
beforeAll(async () => {
  workplace = await Workplace.open();
});
afterAll(() => workplace.close());

test("a folder has the weights, the layout's config and the tokenizer in both forms, and names its files", async () => {
  const folder = join(await workplace.directory(), "new");
  const names = await exportModel(await workplace.inFolder(), folder, { layout: "qwen2", dtype: "F32" });
  expect(names.sort()).toEqual(["added_tokens.json", "config.json", "merges.txt", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json"]);
  expect(await readdir(folder)).toEqual(names);
  expect(JSON.parse(await readFile(join(folder, "config.json"), "utf8"))).toEqual({ ...toHuggingFace({ ...model }, { layout: "qwen2" }), tokenizer_sha256: sha256(tokenizer.toJson()) });
  expect(await readFile(join(folder, "tokenizer.json"), "utf8")).toBe(tokenizer.toJson());
  expect(await readSafetensors(join(folder, "model.safetensors"))).toEqual(new Map([...parameters].sort(([a], [b]) => (a < b ? -1 : 1))));
});

test("weights are narrowed and split as asked for", async () => {
  const folder = await workplace.directory();
  const names = await exportModel(await workplace.inFolder(), folder, { layout: "dream", dtype: "BF16", shardBytes: 10_000 });
  expect(names.filter((name) => name.startsWith("model"))).toEqual(["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"]);
  expect(JSON.parse(await readFile(join(folder, "config.json"), "utf8"))).toMatchObject(toHuggingFace(model, { dtype: "BF16" }));
});

test("a checkpoint that is not whole is refused", async () => {
  await expect(exportModel(await workplace.inFolder({ tokenizerJson: "{}" }), await workplace.directory(), { layout: "dream", dtype: "F32" })).rejects.toMatchObject({ code: "TokenizerCorrupt" });
  await expect(exportModel(await workplace.inFolder({ config: {} }), await workplace.directory(), { layout: "dream", dtype: "F32" })).rejects.toMatchObject({ code: "WrongConfig" });
});
