import { spawnSync } from "node:child_process";
import { readFile, readdir, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensors } from "@diffucoder/formats";
import { sha256 } from "@diffucoder/lineage";
import { parameterShapes, toHuggingFace } from "@diffucoder/model";
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
  expect(names.sort()).toEqual(["added_tokens.json", "config.json", "generation_config.json", "merges.txt", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json"]);
  expect(await readdir(folder)).toEqual(names);
  const tokens = { bos_token_id: tokenizer.id("<|endoftext|>"), eos_token_id: tokenizer.id("<|endoftext|>"), pad_token_id: model.padId, mask_token_id: model.maskId };
  expect(JSON.parse(await readFile(join(folder, "config.json"), "utf8"))).toEqual({ ...toHuggingFace(model, { layout: "qwen2" }), ...tokens, tokenizer_sha256: sha256(tokenizer.toJson()) });
  expect(JSON.parse(await readFile(join(folder, "generation_config.json"), "utf8"))).toEqual(tokens);
  expect(await readFile(join(folder, "tokenizer.json"), "utf8")).toBe(tokenizer.toJson());
  expect(await readSafetensors(join(folder, "model.safetensors"))).toEqual(new Map([...parameters].sort(([a], [b]) => (a < b ? -1 : 1))));
});

test("weights are narrowed and split as asked for", async () => {
  const folder = await workplace.directory();
  const names = await exportModel(await workplace.inFolder(), folder, { layout: "dream", dtype: "BF16", shardBytes: 10_000 });
  expect(names.filter((name) => name.startsWith("model"))).toEqual(["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"]);
  const auto_map = { AutoConfig: "configuration_dream.DreamConfig", AutoModel: "modeling_dream.DreamModel" };
  expect(JSON.parse(await readFile(join(folder, "config.json"), "utf8"))).toMatchObject({ ...toHuggingFace(model, { dtype: "BF16" }), auto_map });
});

test("a model need not fit into memory", async () => {
  const large = { ...model, layers: 22, hiddenSize: 256, intermediateSize: 1024, headDim: 64 }; // 87 MB, no tensor above 1 MB
  const zeros = new Map(Object.entries(parameterShapes(large)).map(([name, shape]) => [name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }]));
  const fileOf = await workplace.inFolder({ config: toHuggingFace(large), parameters: zeros });
  const folder = join(await workplace.directory(), "new");
  const script = `
    import { exportModel } from "@diffucoder/hugging-face";
    const { maxRSS } = process.resourceUsage();
    await exportModel(async (name) => ${JSON.stringify(await fileOf("."))} + "/" + name, ${JSON.stringify(folder)}, { layout: "qwen2", dtype: "BF16" });
    console.log(1024 * (process.resourceUsage().maxRSS - maxRSS));`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--conditions=@diffucoder/source", "--input-type=module", "-e", script], { encoding: "utf8", cwd: import.meta.dirname });
  expect(stderr).toBe("");
  expect((await stat(join(folder, "model.safetensors"))).size).toBeGreaterThan(43e6);
  expect(Number(stdout)).toBeLessThan(60e6);
});

test("a checkpoint whose numbers are not finite leaves no folder", async () => {
  const broken = new Map(parameters).set("model.norm.weight", { shape: [model.hiddenSize], data: new Float32Array(model.hiddenSize).fill(NaN) });
  const folder = join(await workplace.directory(), "new");
  await expect(exportModel(await workplace.inFolder({ parameters: broken }), folder, { layout: "dream", dtype: "F16" })).rejects.toMatchObject({ code: "WrongParameters" });
  await expect(readdir(folder)).rejects.toMatchObject({ code: "ENOENT" });
});

test("what stands in a folder is left alone, and no file of the checkpoint stays open", async () => {
  const [folder, fileOf] = [await workplace.published(), await workplace.inFolder()];
  await expect(exportModel(fileOf, folder, { layout: "dream", dtype: "F32" })).rejects.toMatchObject({ code: "FolderTaken" });
  const open = await Promise.all((await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")));
  expect(open).not.toContain(await fileOf("model.safetensors"));
});

test("a checkpoint that is not whole is refused", async () => {
  await expect(exportModel(await workplace.inFolder({ tokenizerJson: "{}" }), await workplace.directory(), { layout: "dream", dtype: "F32" })).rejects.toMatchObject({ code: "TokenizerCorrupt" });
  await expect(exportModel(await workplace.inFolder({ config: {} }), await workplace.directory(), { layout: "dream", dtype: "F32" })).rejects.toMatchObject({ code: "WrongConfig" });
});
